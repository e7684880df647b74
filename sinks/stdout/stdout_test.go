package stdout_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
	"github.com/nudged/nudged/sinks/sinktest"
	"github.com/nudged/nudged/sinks/stdout"
)

func TestSuite(t *testing.T) {
	sinktest.Run(t, func(*testing.T) (sinks.Sink, func() []string) {
		// The suite reads only when no delivery is under way.
		var out bytes.Buffer
		return stdout.New(&out), func() (lines []string) {
			for line := range strings.Lines(out.String()) {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
			return lines
		}
	})
}

// A command is one line, also if an event's array that it passes on is not.
func TestOneLineForEachCommand(t *testing.T) {
	items := "[\n  {\"sku\": \"a\"},\r\n  {\"sku\": \"b\"}\n]"
	d := &rules.Decision{Outcome: rules.Sent, Send: &rules.Send{}, Data: []rules.Datum{{Name: "items", Value: rules.JSONValue(items)}}}
	value := sinks.AppendCommand(nil, d, sinks.Origin{})
	var out bytes.Buffer
	if err := stdout.New(&out).Deliver(context.Background(), []sinks.Record{{Value: value}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 || strings.Contains(out.String(), "\r") {
		t.Errorf("one command is %d lines:\n%s", n, out.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestErrorOfTheWriter(t *testing.T) {
	full := errors.New("disk full")
	broken := true
	var out bytes.Buffer
	sink := stdout.New(writer(func(b []byte) (int, error) {
		if broken {
			return 0, full
		}
		return out.Write(b)
	}))
	err := sink.Deliver(context.Background(), []sinks.Record{{Value: []byte("one")}})
	if !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
	// What failed is the caller's to repeat: it is not kept.
	broken = false
	if err := sink.Deliver(context.Background(), []sinks.Record{{Value: []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "two\n" {
		t.Errorf("written: %q", out.String())
	}
}

// Lines of one delivery go out in one write, so that another process that writes
// to the same terminal or pipe does not come in between.
func TestOneWriteForEachDelivery(t *testing.T) {
	writes := 0
	sink := stdout.New(writer(func(b []byte) (int, error) {
		writes++
		return len(b), nil
	}))
	if err := sink.Deliver(context.Background(), []sinks.Record{{Value: []byte("one")}, {Value: []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	if writes != 1 {
		t.Errorf("%d writes", writes)
	}
}
