package integration

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// keptOfValue is how much of a value a dead letter keeps.
const keptOfValue = 512 << 10

// bad is a record that is no event, and what its dead letter says.
type bad struct {
	name  string
	value []byte // nil: a tombstone
	says  string
}

func badRecords() []bad {
	const rest = `,"type":"signup","time":"2026-01-01T00:00:00Z"}`
	return []bad{
		{"garbage", []byte{0x00, 0xff, 0xfe, 0x13, 0x37, 0x80}, "not a JSON object"},
		{"empty", []byte{}, "not a JSON object"},
		{"an array", []byte(`[1,2,3]`), "not a JSON object"},
		{"cut short", []byte(`{"user":"u1","type":"signup","ti`), "not a JSON object"},
		{"more behind it", []byte(`{"user":"u1"` + rest + `{}`), "more after its end"},
		{"no user", []byte(`{"type":"signup","time":"2026-01-01T00:00:00Z"}`), "has no user"},
		{"user null", []byte(`{"user":null` + rest), "has no user"},
		{"user empty", []byte(`{"user":""` + rest), "user is empty"},
		{"user an object", []byte(`{"user":{"id":"u1"}` + rest), "user is a"},
		{"user with a NUL", []byte(`{"user":"u\u00001"` + rest), "NUL"},
		{"user not UTF-8", []byte("{\"user\":\"u\xff\xfe1\"" + rest), "UTF-8"},
		{"user too long", []byte(`{"user":"` + strings.Repeat("u", 513) + `"` + rest), "513 bytes"},
		{"no type", []byte(`{"user":"u1","time":"2026-01-01T00:00:00Z"}`), "has no type"},
		{"type a number", []byte(`{"user":"u1","type":7,"time":"2026-01-01T00:00:00Z"}`), "type is a"},
		{"no time", []byte(`{"user":"u1","type":"signup"}`), "has no time"},
		{"time a bool", []byte(`{"user":"u1","type":"signup","time":true}`), "time is a"},
		{"time no time", []byte(`{"user":"u1","type":"signup","time":"yesterday"}`), "yesterday"},
		{"the year 1", []byte(`{"user":"u1","type":"signup","time":"0001-01-01T00:00:00Z"}`), "before 1970"},
		{"a tombstone", nil, "no value"},
		{"2 MB", []byte(`{"user":"u1","pad":"` + strings.Repeat("x", 2<<20) + `"` + rest), "max_event_bytes"},
	}
}

// A record that is no event becomes a dead letter with its reason, and the
// partition goes on.
func TestBadRecordsBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	for _, clock := range []string{"wall", "event"} {
		t.Run(clock, func(t *testing.T) {
			t.Parallel()
			large := "4194304"
			w := newWorld(t, 1, map[string]*string{"max.message.bytes": &large})
			d := start(t, "--config", w.config("testdata/rules.yaml", clock))

			now := time.Now().UTC().Truncate(time.Millisecond)
			bads := badRecords()
			// What waits must not fire because of a time that is far ahead.
			recs := []*kgo.Record{event("w", "wishlist", "patient", now)}
			for i, b := range bads {
				recs = append(recs, &kgo.Record{
					Key: []byte{0xff, byte(i)}, Value: b.value, Timestamp: now,
					Headers: []kgo.RecordHeader{{Key: "origin", Value: []byte(b.name)}},
				})
			}
			future := event("f", "signup", "ahead", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
			future.Timestamp = now.Add(time.Second)
			keyless := &kgo.Record{Value: []byte("no key either")}
			recs = append(recs, future, keyless, event("g", "signup", "good", now.Add(2*time.Second)))
			w.put(recs...)

			// What comes last has been decided: all of it has.
			sent := w.tail(w.sends).decided("sent", 2)
			d.terminate()

			if _, ok := sent["good"]; !ok {
				t.Error("the good event behind the bad ones has fired nothing")
			}
			// Pulled back to the record's own timestamp, and no dead letter.
			if got, want := sent["ahead"].triggerTime, future.Timestamp.Format(time.RFC3339Nano); !instant(t, got).Equal(instant(t, want)) {
				t.Errorf("the event of the year 9999 was taken to be of %s, want %s", got, want)
			}
			if n := len(w.committed(w.sends)); n != 2 {
				t.Errorf("%d sends, want 2", n)
			}

			letters := map[string]*kgo.Record{}
			for _, r := range w.committed(w.dead) {
				letters[header(r, "nudged-offset")] = r
			}
			if len(letters) != len(bads)+1 {
				t.Errorf("%d dead letters, want %d", len(letters), len(bads)+1)
			}
			for i, b := range bads {
				requireLetter(t, w, letters, i+1, recs[i+1], b.says)
			}
			requireLetter(t, w, letters, len(recs)-2, keyless, "not a JSON object")
		})
	}
}

// requireLetter compares a dead letter with the record that was at the offset.
func requireLetter(t *testing.T, w *world, letters map[string]*kgo.Record, offset int, rec *kgo.Record, says string) {
	t.Helper()
	name := header(rec, "origin")
	letter := letters[strconv.Itoa(offset)]
	if letter == nil {
		t.Errorf("%s: no dead letter", name)
		return
	}
	value, truncated := rec.Value, ""
	if len(value) > keptOfValue {
		value, truncated = value[:keptOfValue], strconv.Itoa(len(rec.Value))
	}
	if !bytes.Equal(letter.Key, rec.Key) || (letter.Key == nil) != (rec.Key == nil) {
		t.Errorf("%s: the key is %q, was %q", name, letter.Key, rec.Key)
	}
	if !bytes.Equal(letter.Value, value) || (letter.Value == nil) != (rec.Value == nil) {
		t.Errorf("%s: the value has %d bytes and differs from the original", name, len(letter.Value))
	}
	for key, want := range map[string]string{
		"origin": name, "nudged-topic": w.events, "nudged-partition": "0", "nudged-truncated": truncated,
	} {
		if got := header(letter, key); got != want {
			t.Errorf("%s: header %s is %q, want %q", name, key, got, want)
		}
	}
	if got := header(letter, "nudged-error"); !strings.Contains(got, says) {
		t.Errorf("%s: header nudged-error is %q, want one with %q", name, got, says)
	}
}

// header returns a header of the record, "" if it is missing, and shows when it
// is there twice.
func header(r *kgo.Record, key string) string {
	value, n := "", 0
	for _, h := range r.Headers {
		if h.Key == key {
			value, n = string(h.Value), n+1
		}
	}
	if n > 1 {
		return fmt.Sprintf("%d times %s", n, value)
	}
	return value
}
