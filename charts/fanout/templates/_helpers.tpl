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

{{- /* How many bytes a quantity is, to compare it with another. */ -}}
{{- define "fanout.bytes" -}}
{{- $units := dict "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 -}}
{{- $binary := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{ mulf (float64 (trimSuffix $unit .)) (get (merge $units $binary) $unit | default 1) }}
{{- end -}}

{{- define "fanout.image" -}}
{{- $tagged := printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{ ternary (printf "%s@%s" .Values.image.repository .Values.image.digest) $tagged (ne .Values.image.digest "") }}
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

{{- /* Where producers post, by the name of the namespace. Call with (list . .Release.Namespace). */ -}}
{{- define "fanout.url" -}}
{{- $top := index . 0 -}}
{{- $port := int $top.Values.dispatcher.service.port -}}
{{- $inside := printf "http://%s.%s.svc%s" (include "fanout.name" $top) (index . 1) (ternary "" (printf ":%d" $port) (eq $port 80)) -}}
{{ $top.Values.publicUrl | default $inside }}
{{- end -}}

{{- /* A namespace whose routes are served: for the first route of the notes, and for the test's. */ -}}
{{- define "fanout.served.namespace" -}}
{{- $own := .Release.Namespace -}}
{{- if .Values.watchNamespaces -}}
{{ ternary $own (first .Values.watchNamespaces) (has $own .Values.watchNamespaces) }}
{{- else -}}
{{ $own }}
{{- end -}}
{{- end -}}

{{- /* Where pods go, and with which images. Call with (list . "operator"). */ -}}
{{- define "fanout.pod.placement" -}}
{{- $top := index . 0 -}}
{{- $component := index . 1 -}}
{{- $of := index $top.Values $component -}}
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
{{- with $of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $ours := dict "labelSelector" (dict "matchLabels" (include "fanout.selector" (list $top $component) | fromYaml)) }}
  {{- range . }}
  - {{- toYaml (merge (deepCopy .) (ternary (dict) $ours (hasKey . "labelSelector"))) | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}
