{{/* Names and labels. */}}
{{- define "deflector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "deflector.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "deflector.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "deflector.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "deflector.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: deflector
{{ include "deflector.selector" . }}
{{- end -}}

{{- define "deflector.selector" -}}
app.kubernetes.io/name: {{ include "deflector.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The stages that are on, in the order of the pipeline: a JSON list. */}}
{{- define "deflector.stages" -}}
{{- $on := list -}}
{{- range $name := list "ingest" "fetch" "defend" "publish" -}}
{{- if dig $name "enabled" false $.Values.stages -}}{{- $on = append $on $name -}}{{- end -}}
{{- end -}}
{{- toJson $on -}}
{{- end -}}

{{/* keda, hpa or none. */}}
{{- define "deflector.scaler" -}}
{{- if ne .Values.autoscaling.mode "auto" -}}
{{- .Values.autoscaling.mode -}}
{{- else if .Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject" -}}
keda
{{- else -}}
hpa
{{- end -}}
{{- end -}}

{{/* What scales one stage: (dict "root" $ "stage" name). The gateway's work is requests, of which the queues know nothing. */}}
{{- define "deflector.scalerOf" -}}
{{- $values := get .root.Values.stages .stage -}}
{{- $scaler := include "deflector.scaler" .root -}}
{{- if not (dig "autoscaling" "enabled" false $values) -}}none
{{- else if and (eq .stage "ingest") (eq $scaler "keda") -}}hpa
{{- else -}}{{ $scaler }}
{{- end -}}
{{- end -}}

{{/* An image: (dict "root" $ "image" map), where empty parts are those of `image`. */}}
{{- define "deflector.image" -}}
{{- $own := .image | default dict -}}
{{- $common := .root.Values.image -}}
{{- $repository := $own.repository | default $common.repository -}}
{{- $tag := $own.tag | default (ternary $common.tag "" (empty $own.repository)) | default .root.Chart.AppVersion -}}
{{- $registry := $own.registry | default $common.registry -}}
{{- $digest := $own.digest | default (ternary $common.digest "" (and (empty $own.repository) (empty $own.tag))) -}}
{{- if $digest -}}
{{- printf "%s/%s@%s" $registry $repository $digest -}}
{{- else -}}
{{- printf "%s/%s:%s" $registry $repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "deflector.redisBundled" -}}
{{- if and .Values.redis.bundled.enabled (not .Values.redis.url) (not .Values.redis.existingSecret.name) -}}true{{- end -}}
{{- end -}}

{{- define "deflector.serviceAccountName" -}}
{{- $account := .account | default dict -}}
{{- if $account.name -}}{{ $account.name }}
{{- else if hasKey $account "create" | ternary $account.create true -}}{{ .name }}
{{- else -}}default
{{- end -}}
{{- end -}}

{{/* Variables by which every process reaches Redis and S3. */}}
{{- define "deflector.env" -}}
{{- with .Values.redis }}
- name: DEFLECTOR_REDIS_URL
{{- if .existingSecret.name }}
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret.name | quote }}, key: {{ .existingSecret.key | quote }} }
{{- else if .url }}
  value: {{ .url | quote }}
{{- else }}
  value: redis://{{ include "deflector.fullname" $ }}-redis:6379
{{- end }}
- { name: DEFLECTOR_QUEUE_PREFIX, value: {{ .prefix | quote }} }
{{- if .cluster }}
- { name: DEFLECTOR_REDIS_CLUSTER, value: 'true' }
{{- end }}
{{- if .sentinelMaster }}
- { name: DEFLECTOR_REDIS_MASTER, value: {{ .sentinelMaster | quote }} }
{{- end }}
{{- end }}
{{- if .Values.stages.fetch.enabled }}
- { name: DEFLECTOR_FETCH, value: separate }
{{- end }}
{{- with .Values.s3 }}
{{- if .endpoint }}
- { name: DEFLECTOR_S3_ENDPOINT, value: {{ .endpoint | quote }} }
{{- end }}
{{- if .region }}
- { name: DEFLECTOR_S3_REGION, value: {{ .region | quote }} }
{{- end }}
- { name: DEFLECTOR_S3_ADDRESSING, value: {{ .addressing | quote }} }
{{- if .existingSecret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef: { name: {{ $.Values.s3.existingSecret | quote }}, key: {{ . }} }
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.caCertificates.existingSecret }}
- { name: NODE_EXTRA_CA_CERTS, value: {{ printf "/etc/deflector/ca/%s" .Values.caCertificates.key | quote }} }
{{- end }}
{{- end -}}

{{/* Where a container may write, and what it is given to read. */}}
{{- define "deflector.volumeMounts" -}}
- { name: tmp, mountPath: /tmp }
{{- with .Values.sharedVolume }}{{ if .existingClaim }}
- { name: shared, mountPath: {{ .mountPath | quote }} }
{{- end }}{{ end }}
{{- with .Values.models }}{{ if .existingClaim }}
- { name: models, mountPath: {{ .mountPath | quote }}, readOnly: true }
{{- end }}{{ end }}
{{- if .Values.caCertificates.existingSecret }}
- { name: ca, mountPath: /etc/deflector/ca, readOnly: true }
{{- end }}
{{- end -}}

{{- define "deflector.volumes" -}}
- { name: tmp, emptyDir: { sizeLimit: 1Gi } }
{{- with .Values.sharedVolume }}{{ if .existingClaim }}
- name: shared
  persistentVolumeClaim: { claimName: {{ .existingClaim | quote }} }
{{- end }}{{ end }}
{{- with .Values.models }}{{ if .existingClaim }}
- name: models
  persistentVolumeClaim: { claimName: {{ .existingClaim | quote }}, readOnly: true }
{{- end }}{{ end }}
{{- with .Values.caCertificates }}{{ if .existingSecret }}
- name: ca
  secret: { secretName: {{ .existingSecret | quote }} }
{{- end }}{{ end }}
{{- end -}}

{{/* The level `restricted` of the Pod Security Standards, with a root file system that cannot be written. */}}
{{- define "deflector.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Chunks that call for pods of a stage, as KEDA's formula; its terms are the names of the triggers. */}}
{{- define "deflector.scalingFormula" -}}
(waiting + prioritized + delayed + active) * min({{ .urgency }}, max(1, oldest / {{ .maxAgeSeconds }}))
{{- end -}}
