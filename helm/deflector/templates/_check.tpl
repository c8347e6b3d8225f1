{{/* What the schema cannot say: values that do not fit together. Every message names them. */}}
{{- define "deflector.check" -}}
{{- $redis := .Values.redis -}}
{{- if and $redis.url $redis.existingSecret.name -}}
{{- fail "redis.url and redis.existingSecret.name: give one of them" -}}
{{- end -}}
{{- if not (or $redis.url $redis.existingSecret.name $redis.bundled.enabled) -}}
{{- fail "redis.url: give the address of a Redis, or redis.existingSecret.name of a secret that holds it, or redis.bundled.enabled=true for a trial" -}}
{{- end -}}
{{- if and (include "deflector.redisBundled" .) (or $redis.cluster $redis.sentinelMaster) -}}
{{- fail "redis.cluster and redis.sentinelMaster: the bundled Redis is neither; give redis.url or redis.existingSecret.name" -}}
{{- end -}}
{{- if and $redis.cluster $redis.sentinelMaster -}}
{{- fail "redis.cluster and redis.sentinelMaster: give one of them" -}}
{{- end -}}
{{- $scaler := include "deflector.scaler" . -}}
{{- range $stage := include "deflector.stages" . | fromJsonArray -}}
{{- $values := get $.Values.stages $stage -}}
{{- $scaling := $values.autoscaling | default dict -}}
{{- if $scaling.enabled -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "stages.%s.autoscaling.minReplicas: %d is more than maxReplicas, %d" $stage (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and (eq $stage "publish") (eq (int $scaling.minReplicas) 0) -}}
{{- fail "stages.publish.autoscaling.minReplicas: at least 1, since autoscaling asks this stage how long the queues are" -}}
{{- end -}}
{{- if and (eq $scaler "keda") (ne $stage "ingest") (not (dig "publish" "enabled" false $.Values.stages)) -}}
{{- fail (printf "stages.publish.enabled: stages.%s.autoscaling by KEDA asks that stage how long the queues are" $stage) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (dig "gpu" "count" 0 $values | int) 0) (not (dig "gpu" "resource" "" $values)) -}}
{{- fail (printf "stages.%s.gpu.resource: give the name by which the cluster offers its devices, as nvidia.com/gpu" $stage) -}}
{{- end -}}
{{- if and (hasKey ($values.serviceAccount | default dict) "create") (not $values.serviceAccount.create) (not $values.serviceAccount.name) -}}
{{- fail (printf "stages.%s.serviceAccount.name: give the name of the account where create is false" $stage) -}}
{{- end -}}
{{- end -}}
{{- range $name, $job := .Values.jobs -}}
{{- if and (not (hasPrefix "s3://" $job.out)) (not $.Values.sharedVolume.existingClaim) -}}
{{- fail (printf "jobs.%s.out: give s3://bucket/prefix, or a folder below sharedVolume.mountPath with sharedVolume.existingClaim; %s would stay in the pod" $name $job.out) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.stages.ingest.enabled (not .Values.ingest.existingSecret) -}}
{{- fail "ingest.existingSecret: give the name of a secret with DEFLECTOR_TOKENS; a gateway that others reach needs tokens" -}}
{{- end -}}
{{- if and .Values.ingest.allow (not .Values.ingest.out) -}}
{{- fail "ingest.out: give the folder for chunks and verdicts of what ingest.allow lets in" -}}
{{- end -}}
{{- if and .Values.ingest.ingress.enabled (not .Values.ingest.ingress.host) -}}
{{- fail "ingest.ingress.host: give the name under which the gateway is called" -}}
{{- end -}}
{{- end -}}
