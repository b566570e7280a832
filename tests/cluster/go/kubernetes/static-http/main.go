// The peer that cold starts are measured against: the smallest program that
// is a Knative service. It answers "ok" to everything.
package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }
	server := &http.Server{Addr: ":" + port, Handler: http.HandlerFunc(answer)}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		<-stop.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		os.Exit(1)
	}
}
