package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nudged/nudged/sinks"
	"github.com/nudged/nudged/sinks/webhook"
)

const (
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	other  = "whsec_C2FtcGxlLXNlY3JldC1mb3ItdGVzdHMtMzItYnl0ZXM="
)

// What nudged sends is verified and taken once; what is signed by somebody else,
// or was sent long ago, is not.
func TestReceiver(t *testing.T) {
	var out bytes.Buffer
	r := &receiver{secret: secret, now: time.Now, out: &out, taken: map[string]bool{}}
	s := httptest.NewServer(r)
	defer s.Close()
	command := sinks.Record{Key: []byte("u1"), Value: []byte(`{"command_id":"9f2c","rule":"r"}`)}
	send := func(sentAt time.Time, secrets ...string) error {
		sink, err := webhook.New(webhook.Config{URL: s.URL, Secrets: secrets, Timeout: 10 * time.Second, PerHost: 1, Now: func() time.Time { return sentAt }})
		if err != nil {
			t.Fatal(err)
		}
		return sink.Send(t.Context(), command)
	}
	for _, secrets := range [][]string{{secret}, {secret}, {other, secret}} {
		if err := send(time.Now(), secrets...); err != nil {
			t.Error(err)
		}
	}
	if out.String() != string(command.Value)+"\n" {
		t.Errorf("taken:\n%swant the command once", out.String())
	}
	if err := send(time.Now(), other); err == nil || !strings.Contains(err.Error(), "401 Unauthorized: the signature does not fit") {
		t.Errorf("signed by somebody else: %v", err)
	}
	if err := send(time.Now().Add(-time.Hour), secret); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("an hour old: %v", err)
	}
}

// docs/webhook.md shows the verification as it stands here.
func TestDocumented(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, verification, _ := strings.Cut(string(source), "// verify checks")
	if !strings.Contains(string(docs), "// verify checks"+verification) {
		t.Error("docs/webhook.md does not show verify as it is in main.go")
	}
}
