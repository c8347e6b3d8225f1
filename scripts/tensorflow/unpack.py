"""unpack.py ARCHIVE FOLDER SUFFIX...: files of a zip archive whose names end so, without their folders.

unpack.py --below PREFIX ARCHIVE FOLDER SUFFIX...: the same, with their folders below the prefix.
"""

import pathlib
import shutil
import sys
import zipfile

arguments = sys.argv[1:]
prefix = None
if arguments[0] == "--below":
    prefix = arguments[1]
    arguments = arguments[2:]
archive, folder, *suffixes = arguments
with zipfile.ZipFile(archive) as zipped:
    for name in zipped.namelist():
        if not name.endswith(tuple(suffixes)) or (prefix is not None and not name.startswith(prefix)):
            continue
        path = pathlib.PurePosixPath(name)
        target = pathlib.Path(folder, path.relative_to(prefix) if prefix else path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipped.open(name) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out)
