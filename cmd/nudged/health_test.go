package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthSaysWhatTheDaemonAnswers(t *testing.T) {
	ready, asked := http.StatusOK, 0
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz":
			if asked++; asked == 3 {
				ready = http.StatusOK
			}
			w.WriteHeader(ready)
		case "/livez":
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	}))
	addr := strings.TrimPrefix(daemon.URL, "http://")
	if code := execute(t.Context(), []string{"health", "--addr", addr}, io.Discard, io.Discard); code != 0 {
		t.Errorf("ready: exit code %d", code)
	}
	ready, asked = http.StatusServiceUnavailable, 0
	if code := execute(t.Context(), []string{"health", "--addr", addr, "--wait", "1m"}, io.Discard, io.Discard); code != 0 || asked != 3 {
		t.Errorf("waiting for it: exit code %d after it was asked %d times", code, asked)
	}
	ready = http.StatusServiceUnavailable
	if code := execute(t.Context(), []string{"health", "--addr", addr}, io.Discard, io.Discard); code != exitProblems {
		t.Errorf("not ready: exit code %d", code)
	}
	if code := execute(t.Context(), []string{"health", "--addr", addr, "--live"}, io.Discard, io.Discard); code != 0 {
		t.Errorf("live: exit code %d", code)
	}
	daemon.Close()
	if code := execute(t.Context(), []string{"health", "--addr", addr, "--live"}, io.Discard, io.Discard); code != exitProblems {
		t.Errorf("gone: exit code %d", code)
	}
	if code := execute(t.Context(), []string{"health", "--addr", "a b"}, io.Discard, io.Discard); code != exitUsage {
		t.Errorf("no address: exit code %d", code)
	}
}
