package kafka_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/sinks"
	"github.com/nudged/nudged/sinks/kafka"
)

var layout = kafka.Layout{
	Sends: "s", Decisions: "d", DeadLetters: "x",
	SendPartitions: 3, DecisionPartitions: 4, DeadLetterPartitions: 2,
}

// What was decided in input partition p lies in partition p mod n, whatever its
// key.
func TestPartitions(t *testing.T) {
	for p := range int32(12) {
		for _, user := range []string{"u1", "u2"} {
			want := []sinks.Record{
				{Topic: "s", Partition: p % 3, Key: []byte(user), Value: []byte("v")},
				{Topic: "d", Partition: p % 4, Key: []byte(user), Value: []byte("v")},
			}
			got := []sinks.Record{layout.Send(p, []byte(user), []byte("v")), layout.Decision(p, []byte(user), []byte("v"))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("input partition %d (-want +got):\n%s", p, diff)
			}
		}
		if got := layout.DeadLetter("events", p, 0, "", nil, nil, nil).Partition; got != p%2 {
			t.Errorf("input partition %d: dead letter in %d", p, got)
		}
	}
}

func TestIsSend(t *testing.T) {
	if !layout.IsSend(layout.Send(0, nil, nil)) {
		t.Error("a send is none")
	}
	if layout.IsSend(layout.Decision(0, nil, nil)) || layout.IsSend(layout.DeadLetter("s", 0, 0, "", nil, nil, nil)) {
		t.Error("a decision or a dead letter is a send")
	}
}

// A dead letter is the original, with the reason and where it was.
func TestDeadLetter(t *testing.T) {
	original := append(make([]sinks.Header, 0, 9), sinks.Header{Key: "traceparent", Value: []byte("00-1")})
	got := layout.DeadLetter("events", 5, 9_000_000_000, "no user", []byte("k\x00"), []byte("\xffbroken"), original)
	want := sinks.Record{
		Topic: "x", Partition: 1, Key: []byte("k\x00"), Value: []byte("\xffbroken"),
		Headers: []sinks.Header{
			{Key: "traceparent", Value: []byte("00-1")},
			{Key: "nudged-error", Value: []byte("no user")},
			{Key: "nudged-topic", Value: []byte("events")},
			{Key: "nudged-partition", Value: []byte("5")},
			{Key: "nudged-offset", Value: []byte("9000000000")},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
	// The record's own headers are not written to, though they have room.
	if spare := original[:2][1]; spare.Key != "" {
		t.Errorf("the original has a new header %q", spare.Key)
	}
}

// A tombstone stays one: no value is not an empty value.
func TestDeadLetterOfATombstone(t *testing.T) {
	if got := layout.DeadLetter("events", 0, 0, "no value", []byte("k"), nil, nil); got.Value != nil {
		t.Errorf("value %q", got.Value)
	}
}

func TestDeadLetterIsCut(t *testing.T) {
	value := bytes.Repeat([]byte("v"), 512<<10+1)
	for _, c := range []struct {
		size      int
		kept      int
		truncated string
	}{
		{512<<10 - 1, 512<<10 - 1, ""},
		{512 << 10, 512 << 10, ""},
		{512<<10 + 1, 512 << 10, "524289"},
	} {
		got := layout.DeadLetter("events", 0, 0, "too large", nil, value[:c.size], nil)
		if len(got.Value) != c.kept {
			t.Errorf("of %d bytes %d are kept, want %d", c.size, len(got.Value), c.kept)
		}
		truncated := ""
		for _, h := range got.Headers {
			if h.Key == "nudged-truncated" {
				truncated = string(h.Value)
			}
		}
		if truncated != c.truncated {
			t.Errorf("of %d bytes: nudged-truncated is %q, want %q", c.size, truncated, c.truncated)
		}
	}
}
