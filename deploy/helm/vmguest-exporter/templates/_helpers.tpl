{{- define "vmguest.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 52 | trimSuffix "-" }}
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

{{- /* What both kinds of monitor have in common; the argument is the endpoint's values. */}}
{{- define "vmguest.endpoint" -}}
- port: metrics
  path: /metrics
  interval: {{ .interval }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  scheme: {{ .scheme }}
  {{- with .tlsConfig }}
  tlsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .basicAuth }}
  basicAuth:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  relabelings:
    - sourceLabels: [__meta_kubernetes_pod_node_name]
      targetLabel: instance
    {{- with .relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  metricRelabelings:
    # When each counter began: Prometheus has no use for it, and it would be a quarter of all series.
    - sourceLabels: [__name__]
      regex: vmguest_.+_created
      action: drop
    {{- with .metricRelabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "vmguest.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "vmguest.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Names of the ConfigMaps that the chart makes for the pod, as a list in YAML. */}}
{{- define "vmguest.configMaps" -}}
{{- $names := keys .Values.extraConfigMaps }}
{{- if .Values.settingsFile }}
{{- $names = append $names "settings" }}
{{- end }}
{{- toYaml ($names | sortAlpha | uniq) }}
{{- end }}

{{- define "vmguest.mounts" -}}
{{- if .Values.webConfigSecret }}
- name: web-config
  mountPath: /etc/vmguest-exporter/web
  readOnly: true
{{- end }}
{{- range include "vmguest.configMaps" . | fromYamlArray }}
- name: config-{{ . }}
  mountPath: /etc/vmguest-exporter/{{ . }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vmguest.volumes" -}}
{{- with .Values.webConfigSecret }}
- name: web-config
  secret:
    secretName: {{ . }}
{{- end }}
{{- range include "vmguest.configMaps" . | fromYamlArray }}
- name: config-{{ . }}
  configMap:
    name: {{ include "vmguest.name" $ }}-{{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
