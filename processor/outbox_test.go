package processor

import (
	"encoding/binary"
	"math"
	"reflect"
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

func drawRecords(t *rapid.T) []sinks.Record {
	n := rapid.IntRange(0, 6).Draw(t, "records")
	out := make([]sinks.Record, 0, n)
	for range n {
		r := sinks.Record{
			Topic:     rapid.String().Draw(t, "topic"),
			Partition: rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition"),
			Key:       drawText(t, "key"),
			Value:     drawText(t, "value"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, sinks.Header{Key: rapid.String().Draw(t, "header"), Value: drawText(t, "header value")})
		}
		out = append(out, r)
	}
	return out
}

func TestOutboxRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecords(t)
		entry := EncodeOutbox(want)
		got, err := DecodeOutbox(entry)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
		}
	})
}

// An entry that lacks its end, or has more than its end, is not taken for whole.
func TestDecodeOutboxRefusesDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry := EncodeOutbox(drawRecords(t))
		cut := rapid.IntRange(0, len(entry)-1).Draw(t, "cut")
		if got, err := DecodeOutbox(entry[:cut]); err == nil {
			t.Fatalf("%d of %d bytes are read as %+v", cut, len(entry), got)
		}
		if got, err := DecodeOutbox(append(entry, 0)); err == nil {
			t.Fatalf("with a byte more it is read as %+v", got)
		}
	})
}

func FuzzDecodeOutbox(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add(EncodeOutbox([]sinks.Record{{Topic: "t", Partition: 3, Key: []byte("k"), Value: []byte{}, Headers: []sinks.Header{{Key: "h"}}}}))
	f.Add(binary.AppendUvarint(nil, math.MaxUint64))
	f.Fuzz(func(t *testing.T, entry []byte) {
		records, err := DecodeOutbox(entry)
		if err != nil {
			return
		}
		again, err := DecodeOutbox(EncodeOutbox(records))
		if err != nil || !reflect.DeepEqual(again, records) {
			t.Errorf("%x is read as %+v, which is read back as %+v, %v", entry, records, again, err)
		}
	})
}
