package processor

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/sinks"
)

// drawText draws bytes that are missing, empty or there.
func drawText(t *rapid.T, label string) []byte {
	switch rapid.IntRange(0, 3).Draw(t, label+" kind") {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, label)
}

// drawEntry draws the records of a batch, and the entry that holds them. Now and
// then they fill more than a block.
func drawEntry(t *rapid.T) (entry []byte, want []sinks.Record) {
	h := outboxHead{
		mark: Mark{
			Group: rapid.String().Draw(t, "group"), Input: TopicPartition{rapid.String().Draw(t, "input"), rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition")},
			Epoch: rapid.Int64Range(0, math.MaxInt64).Draw(t, "epoch"), Seq: rapid.Int64Range(0, math.MaxInt64).Draw(t, "seq"), Previous: rapid.Int64Range(0, math.MaxInt64).Draw(t, "previous"),
		},
		sends: "sends", sendPart: rapid.Int32Range(0, math.MaxInt32).Draw(t, "send partition"),
		decisions: "decisions", decPart: rapid.Int32Range(0, math.MaxInt32).Draw(t, "decision partition"),
	}
	var w outboxWriter
	n := rapid.IntRange(0, 6).Draw(t, "records")
	marks := []Mark{}
	for range n {
		value := drawText(t, "value")
		if rapid.IntRange(0, 9).Draw(t, "large") == 0 {
			value = slices.Repeat([]byte("large"), outboxBlock/4)
		}
		if rapid.Bool().Draw(t, "whole") {
			r := sinks.Record{Topic: rapid.String().Draw(t, "topic"), Partition: rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition"), Key: drawText(t, "key"), Value: value}
			for range rapid.IntRange(0, 3).Draw(t, "headers") {
				r.Headers = append(r.Headers, sinks.Header{Key: rapid.String().Draw(t, "header"), Value: drawText(t, "header value")})
			}
			w.whole(&r)
			want = append(want, r)
			continue
		}
		m := h.mark
		m.Index, m.Cause = len(marks), rapid.SampledFrom([]Cause{ByEvent, ByTimer}).Draw(t, "cause")
		m.Position, m.Clock = rapid.Int64().Draw(t, "position"), rapid.Int64().Draw(t, "clock")
		key := rapid.String().Draw(t, "user")
		r := sinks.Record{
			Topic: h.decisions, Partition: h.decPart, Key: []byte(key), Value: append([]byte{}, value...),
			Headers: []sinks.Header{{Key: MarkHeader}, {Key: sinks.ContentTypeHeader, Value: []byte(sinks.ContentType)}},
		}
		trace := rapid.StringN(0, 55, 60).Draw(t, "trace")
		if trace != "" {
			r.Headers = append(r.Headers, sinks.Header{Key: TraceparentHeader, Value: []byte(trace)})
		}
		send := rapid.Bool().Draw(t, "send")
		if send {
			r.Topic, r.Partition = h.sends, h.sendPart
		}
		b := w.message(send, m.Cause, m.Position, m.Clock, trace, key)
		w.end(append(b, value...), len(b))
		marks = append(marks, m)
		want = append(want, r)
	}
	for i := range want {
		if len(want[i].Headers) > 0 && want[i].Headers[0].Key == MarkHeader && want[i].Headers[0].Value == nil {
			marks[0].Count = w.marked
			want[i].Headers[0].Value = marks[0].Append(nil)
			marks = marks[1:]
		}
	}
	return w.take(&h), want
}

// read reads all records of an entry.
func read(entry []byte) (records []sinks.Record, err error) {
	err = EachRecord(entry, func(r *sinks.Record) error {
		records = append(records, *r)
		return nil
	})
	return records, err
}

func TestOutboxRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry, want := drawEntry(t)
		if len(want) == 0 {
			if entry != nil {
				t.Fatalf("a batch without records has the entry %x", entry)
			}
			return
		}
		got, err := read(entry)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
		}
	})
}

// A writer is as new once its entry is taken.
func TestOutboxWriterStartsAnew(t *testing.T) {
	var w outboxWriter
	one := func() []byte {
		b := w.message(true, ByEvent, 7, 9, "", "u1")
		w.end(append(b, "value"...), len(b))
		return w.take(&outboxHead{mark: Mark{Group: "g", Input: TopicPartition{"t", 1}}, sends: "s", decisions: "d"})
	}
	first := slices.Clone(one())
	if second := one(); !slices.Equal(first, second) {
		t.Errorf("the second entry differs: %x, then %x", first, second)
	}
}

func TestEachRecordEndsAtTheFirstError(t *testing.T) {
	var w outboxWriter
	for range 3 {
		w.whole(&sinks.Record{Topic: "t"})
	}
	calls, enough := 0, errors.New("enough")
	err := EachRecord(w.take(&outboxHead{}), func(*sinks.Record) error {
		calls++
		return enough
	})
	if calls != 1 || !errors.Is(err, enough) {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

// An entry that lacks its end, or has more than its end, is not taken for whole.
func TestEachRecordRefusesDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry, want := drawEntry(t)
		if len(want) == 0 {
			return
		}
		cut := rapid.IntRange(0, len(entry)-1).Draw(t, "cut")
		if got, err := read(entry[:cut]); err == nil {
			t.Fatalf("%d of %d bytes are read as %+v", cut, len(entry), got)
		}
		if got, err := read(append(entry, 0)); err == nil {
			t.Fatalf("with a byte more it is read as %+v", got)
		}
	})
}

func FuzzEachRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{outboxFormat})
	var w outboxWriter
	w.whole(&sinks.Record{Topic: "t", Partition: 3, Key: []byte("k"), Value: []byte{}, Headers: []sinks.Header{{Key: "h"}}})
	b := w.message(true, ByTimer, 1, 2, "00-trace", "u1")
	w.end(append(b, "{}"...), len(b))
	f.Add(w.take(&outboxHead{mark: Mark{Group: "g", Seq: 4}, sends: "s", decisions: "d"}))
	f.Add(binary.AppendUvarint([]byte{outboxFormat}, math.MaxUint64))
	f.Fuzz(func(t *testing.T, entry []byte) {
		// Whatever the bytes are, it ends without a panic.
		_ = EachRecord(entry, func(*sinks.Record) error { return nil })
	})
}
