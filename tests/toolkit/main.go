// The smallest exporter around exporter-toolkit: its answers are what docs/tls.md compares with.
package main

import (
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

func main() {
	http.Handle("/metrics", promhttp.Handler())
	addresses, systemd, file := []string{os.Args[1]}, false, os.Args[2]
	flags := &web.FlagConfig{WebListenAddresses: &addresses, WebSystemdSocket: &systemd, WebConfigFile: &file}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := web.ListenAndServe(&http.Server{}, flags, logger); err != nil {
		logger.Error(err.Error())
		os.Exit(1)
	}
}
