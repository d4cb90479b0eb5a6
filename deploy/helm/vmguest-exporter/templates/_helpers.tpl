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

{{- /* The chart's labels and further ones, which win: a key twice would be refused. The arguments are everything and the further ones. */}}
{{- define "vmguest.labelled" -}}
{{- toYaml (merge (deepCopy (last .)) (include "vmguest.labels" (first .) | fromYaml)) }}
{{- end }}

{{- /* "true" where pages are served; empty where settings switch that off. Nothing else can: vmguest.check refuses it, and a
flag, which wins over files and variables, is given in any case. */}}
{{- define "vmguest.web" -}}
{{- $said := get .Values.settings "web" | toString | lower -}}
{{- if not (has $said (list "false" "no" "off" "0")) }}true{{ end }}
{{- end }}

{{- /* "true" where TLS or a password may keep the kubelet out. */}}
{{- define "vmguest.secured" -}}
{{- if or .Values.webConfigSecret (get .Values.settings "web.config.file") }}true{{ end }}
{{- end }}

{{- define "vmguest.path" -}}
{{ get .Values.settings "web.telemetry-path" | default "/metrics" }}
{{- end }}

{{- /* A value of the settings as text. Helm reads every number of a values file as a float: 1000000 would be 1e+06. */}}
{{- define "vmguest.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ printf "%v" . }}{{ end }}
{{- end }}

{{- /* A duration as the operator writes it (500ms, 15s, 1m), in milliseconds. */}}
{{- define "vmguest.milliseconds" -}}
{{- if hasSuffix "ms" . }}{{ trimSuffix "ms" . }}
{{- else if hasSuffix "s" . }}{{ mul (trimSuffix "s" . | int64) 1000 }}
{{- else }}{{ mul (trimSuffix "m" . | int64) 60000 }}{{ end }}
{{- end }}

{{- /* What a schema can't say; called once, before anything is made. */}}
{{- define "vmguest.check" -}}
{{- if hasKey .Values.settings "web.listen-address" }}
{{- fail "settings: web.listen-address is made of the value port, which the Service and the probes need too; set port instead" }}
{{- end }}
{{- $told := "the Service, the probes and the monitors have to know it; use the value settings (web: false, web.telemetry-path), port or webConfigSecret" }}
{{- range .Values.extraArgs }}
{{- if regexMatch "^--(no-)?web([.=]|$)" . }}
{{- fail (printf "extraArgs: %s: %s" . $told) }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if hasPrefix "VMGUEST_WEB_" .name }}
{{- fail (printf "extraEnv: %s: %s" .name $told) }}
{{- end }}
{{- end }}
{{- if regexMatch `(?m)^\s*\[?\s*["']?web["']?\s*[].=]` .Values.settingsFile }}
{{- fail (printf "settingsFile: web: %s" $told) }}
{{- end }}
{{- if and .Values.webConfigSecret (hasKey .Values.settings "web.config.file") }}
{{- fail "settings: web.config.file is made of webConfigSecret, and both are set; choose one" }}
{{- end }}
{{- if and .Values.settingsFile (hasKey .Values.settings "config.file") }}
{{- fail "settings: config.file is made of settingsFile, and both are set; choose one" }}
{{- end }}
{{- if and .Values.settingsFile (hasKey .Values.extraConfigMaps "settings") }}
{{- fail "extraConfigMaps: settings is the name of the ConfigMap that settingsFile is in; choose another" }}
{{- end }}
{{- $volumes := list }}
{{- range include "vmguest.volumes" . | fromYamlArray }}
{{- if has .name $volumes }}
{{- fail (printf "extraVolumes: there is a volume %s of the chart's own; choose another name" .name) }}
{{- end }}
{{- $volumes = append $volumes .name }}
{{- end }}
{{- $places := list }}
{{- range include "vmguest.mounts" . | fromYamlArray }}
{{- $place := trimSuffix "/" .mountPath }}
{{- if has $place $places }}
{{- fail (printf "%s: two volumes would be mounted there; webConfigSecret, settingsFile, extraConfigMaps (by name) and extraVolumeMounts need a path each" $place) }}
{{- end }}
{{- $places = append $places $place }}
{{- end }}
{{- range $kind := list "podMonitor" "serviceMonitor" }}
{{- $monitor := get $.Values $kind }}
{{- if and $monitor.enabled (not (include "vmguest.web" $)) }}
{{- fail (printf "%s.enabled: there is nothing to scrape, because web is switched off" $kind) }}
{{- end }}
{{- with $monitor.scrapeTimeout }}
{{- if gt (include "vmguest.milliseconds" . | int64) (include "vmguest.milliseconds" $monitor.interval | int64) }}
{{- fail (printf "%s.scrapeTimeout: %s is longer than the interval, %s; Prometheus would refuse it" $kind . $monitor.interval) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What both kinds of monitor have in common; the arguments are the endpoint's values and everything. */}}
{{- define "vmguest.endpoint" -}}
{{- $path := include "vmguest.path" (last .) }}
{{- with first . -}}
- port: metrics
  path: {{ $path }}
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
