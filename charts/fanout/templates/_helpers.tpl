{{- define "fanout.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "fanout" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-fanout" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "fanout.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: fanout
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What a workload is found by; never changes in an upgrade. Call with (list . "operator"). */ -}}
{{- define "fanout.selector" -}}
app.kubernetes.io/name: fanout
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "fanout.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "fanout.operator.account" -}}
{{ .Values.operator.serviceAccount.name | default (printf "%s-operator" (include "fanout.name" .)) }}
{{- end -}}

{{- define "fanout.dispatcher.account" -}}
{{ .Values.dispatcher.serviceAccount.name | default (printf "%s-dispatcher" (include "fanout.name" .)) }}
{{- end -}}

{{- define "fanout.report.secret" -}}
{{ .Values.report.existingSecret | default (printf "%s-report-tls" (include "fanout.name" .)) }}
{{- end -}}

{{- define "fanout.admin.secret" -}}
{{ .Values.admin.existingSecret | default (printf "%s-admin-token" (include "fanout.name" .)) }}
{{- end -}}

{{- define "fanout.url" -}}
{{- $port := int .Values.dispatcher.service.port -}}
{{- $inside := printf "http://%s.%s.svc%s" (include "fanout.name" .) .Release.Namespace (ternary "" (printf ":%d" $port) (eq $port 80)) -}}
{{ .Values.publicUrl | default $inside }}
{{- end -}}

{{- /* Pod Security "restricted". */ -}}
{{- define "fanout.pod.security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "fanout.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* Where pods go, and with which images. Call with (list . .Values.operator). */ -}}
{{- define "fanout.pod.placement" -}}
{{- $top := index . 0 -}}
{{- $of := index . 1 -}}
{{- with $top.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $of.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $of.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $of.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
