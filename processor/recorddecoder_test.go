package processor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// askingDecoder reads the user from a header, and cannot answer the first few
// times that it is asked.
type askingDecoder struct {
	textDecoder
	away *int // how often it still has no answer
}

type passingError struct{ error }

func (passingError) Temporary() bool { return true }

func (d askingDecoder) DecodeRecord(ctx context.Context, ev *rules.Event, value []byte, headers []sinks.Header) error {
	if *d.away > 0 {
		*d.away--
		return passingError{errors.New("the registry is away")}
	}
	if err := d.Decode(ev, value); err != nil {
		return err
	}
	for _, h := range headers {
		if h.Key == "user" {
			ev.User = string(h.Value)
		}
	}
	return ctx.Err()
}

// What a decoder cannot tell now is asked for again; what is no event is a dead
// letter all the same.
func TestDecoderIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := one(theRules(atOnce("a")))
		recs := []processor.Record{
			{Offset: 0, Value: eventAt(10*sec, "a", "value").value(), Headers: []sinks.Header{{Key: "user", Value: []byte("header")}}},
			{Offset: 1, Value: []byte("no event")},
		}
		sc.input[0], sc.dead[0] = recs, []int64{1}
		away := 7
		s := newStand(t, sc, func(c *processor.Config) {
			c.NewDecoder = func() processor.Decoder { return askingDecoder{away: &away} }
		})
		part := s.claim(inputPartition(0))
		s.consume(part, recs)
		s.flush(part)
		s.publish()
		expectTold(t, s, "rule_0 header sent 1970-01-01T00:00:10Z")
		if got, want := s.log.deadLetters(inputPartition(0)), []string{"1: not an event"}; !slices.Equal(got, want) {
			t.Errorf("dead letters %q, want %q", got, want)
		}
	})
}

// A partition that is taken away while the decoder has no answer ends without
// having set the record aside.
func TestDecoderWithoutAnswerEndsWithItsPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := one(theRules(atOnce("a")))
		recs := []processor.Record{{Offset: 0, Value: eventAt(10*sec, "a", "u").value()}}
		sc.input[0] = recs
		away := 1 << 30
		s := newStand(t, sc, func(c *processor.Config) {
			c.NewDecoder = func() processor.Decoder { return askingDecoder{away: &away} }
		})
		part := s.claim(inputPartition(0))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- part.Consume(ctx, recs) }()
		synctest.Wait() // it has asked, and waits
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
		if part.Offset() != 0 || part.Open() {
			t.Errorf("offset %d, something to write: %v; want nothing taken in", part.Offset(), part.Open())
		}
	})
}
