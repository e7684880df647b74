package processor

import (
	"testing"

	"pgregory.net/rapid"
)

// agreementBySeq asks every seq from the limit down: the definition, at the cost
// of a loop over a history that may be years long.
func agreementBySeq(a, b History, limit int64) int64 {
	for seq := limit; seq > 0; seq-- {
		ea, oka := epochBySeq(a, seq)
		eb, okb := epochBySeq(b, seq)
		if oka && okb && ea == eb {
			return seq
		}
	}
	return 0
}

func epochBySeq(h History, seq int64) (epoch int64, ok bool) {
	for _, s := range h {
		if s.First <= seq {
			epoch, ok = s.Epoch, true
		}
	}
	return epoch, ok
}

// drawFork draws two histories that go the same way up to a point, then apart,
// as those of an owner and of a zombie. No epoch is in both branches: an epoch
// belongs to one claim.
func drawFork(t *rapid.T) (a, b History) {
	var stem History
	epoch, seq := int64(0), int64(1)
	grow := func(h History, n int) History {
		at := seq
		if len(h) == 0 {
			at = 1
		}
		for range n {
			epoch += rapid.Int64Range(1, 3).Draw(t, "epoch step")
			h = h.With(epoch, at)
			at += rapid.Int64Range(1, 4).Draw(t, "batches")
		}
		return h
	}
	stem = grow(nil, rapid.IntRange(0, 5).Draw(t, "stem"))
	if n := len(stem); n > 0 {
		seq = stem[n-1].First + rapid.Int64Range(1, 5).Draw(t, "to the fork")
	}
	a = grow(stem, rapid.IntRange(0, 4).Draw(t, "left"))
	// The right branch may begin earlier or later than the left one.
	if n := len(stem); n > 0 {
		seq = stem[n-1].First + rapid.Int64Range(1, 5).Draw(t, "to the other fork")
	}
	b = grow(stem, rapid.IntRange(0, 4).Draw(t, "right"))
	// Either may have forgotten its oldest epochs.
	drop := func(h History) History { return h[rapid.IntRange(0, min(2, len(h))).Draw(t, "forgotten"):] }
	return drop(a), drop(b)
}

func TestAgreementIsThatOfEverySeq(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawFork(t)
		limit := rapid.Int64Range(0, 45).Draw(t, "limit")
		want := agreementBySeq(a, b, limit)
		if got := agreement(a, b, limit); got != want {
			t.Fatalf("%v and %v up to %d: agreed on %d, want %d", a, b, limit, got, want)
		}
		if got := agreement(b, a, limit); got != want {
			t.Fatalf("%v and %v up to %d: agreed on %d, want %d", b, a, limit, got, want)
		}
		for seq := int64(0); seq <= 45; seq++ {
			e, ok := a.EpochAt(seq)
			if we, wok := epochBySeq(a, seq); e != we || ok != wok {
				t.Fatalf("%v: epoch of batch %d: %d, %v, want %d, %v", a, seq, e, ok, we, wok)
			}
		}
	})
}

func TestHistoryWith(t *testing.T) {
	h := History{}.With(5, 1)
	left, right := h.With(6, 4), h.With(7, 3)
	if left.String() != "5:1,6:4" || right.String() != "5:1,7:3" || h.String() != "5:1" {
		t.Errorf("branches of one history write into each other: %v, %v, %v", h, left, right)
	}
	if same := left.With(6, 9); same.String() != "5:1,6:4" {
		t.Errorf("a second batch of an epoch changed the history: %v", same)
	}
}
