{{- define "vmguest.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "vmguest.selector" -}}
app.kubernetes.io/name: vmguest-exporter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vmguest.labels" -}}
{{ include "vmguest.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}
