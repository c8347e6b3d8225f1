/**
 * The public half of the Ed25519 key that signs models/catalogue.json (scripts/sign-catalogue.mjs). It stands in the code,
 * since beside the catalogue it would be changed along with it.
 */
export const CATALOGUE_KEY = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAycC9sC+bw2SkWKyBzmnupeTPLFONVsvwieum1Q+7JW4=
-----END PUBLIC KEY-----
`;
