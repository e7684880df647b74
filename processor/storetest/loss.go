package storetest

import (
	"errors"
	"testing"

	"github.com/nudged/nudged/processor"
)

var lossTests = map[string]func(*testing.T, Rewinder){
	"LossOfBatches":                   testLossOfBatches,
	"LossOfTheLastBatch":              testLossOfTheLast,
	"LossOfTheClaim":                  testLossOfClaim,
	"LossOfTheEmptying":               testLossOfWipe,
	"LossOfTheEndOfTheEmptying":       testLossOfWipeEnd,
	"LossOfEverything":                testLossOfEverything,
	"LossAndABranchOfAnOlderOwner":    testLossBranch,
	"LossOfABatchThatIsThenWrittenOn": testLossThenRepeat,
}

func testLossOfBatches(t *testing.T, s Rewinder) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	rewind := s.Mark(t)
	stored := o.look()
	last := full(o)
	for range 3 {
		last = full(o)
	}
	next := o.batch(everything)
	rewind()
	equal(t, "what is left", o.look(), stored)
	e, v, err := s.Fence(t.Context(), input)
	if e != epoch || v == o.head.Version || err != nil {
		t.Errorf("Fence = %d, %d, %v: the owner at version %d cannot tell", e, v, err, o.head.Version)
	}
	o.refused(next, processor.ErrLost)
	o.refused(last, processor.ErrLost)
	o.blind(processor.ErrLost)
}

// The one loss after which a batch may go on is none: it is sent again.
func testLossOfTheLast(t *testing.T, s Rewinder) {
	o, _ := claim(t, s, epoch, mine)
	full(o)
	rewind := s.Mark(t)
	last := full(o)
	stored := o.look()
	next := o.batch(everything)
	rewind()
	o.refused(next, processor.ErrLost)
	o.blind(processor.ErrLost)
	// Its reply was not seen: repeated, it is applied as it was before.
	if err := s.Write(t.Context(), input, last); err != nil {
		t.Fatalf("Write repeated = %v", err)
	}
	equal(t, "what is stored", o.look(), stored)
}

func testLossOfClaim(t *testing.T, s Rewinder) {
	old, _ := claim(t, s, epoch, mine)
	full(old)
	rewind := s.Mark(t)
	o, _ := claim(t, s, epoch+1, another)
	b := o.batch(everything)
	rewind()
	unchanged(t, s, func() {
		if err := s.Write(t.Context(), input, b); !errors.Is(err, processor.ErrFenced) && !errors.Is(err, processor.ErrLost) {
			t.Errorf("Write = %v, want ErrFenced or ErrLost", err)
		}
		if err := s.Wipe(t.Context(), input, epoch+1); !errors.Is(err, processor.ErrFenced) && !errors.Is(err, processor.ErrLost) {
			t.Errorf("Wipe = %v, want ErrFenced or ErrLost", err)
		}
	})
	o.blind(processor.ErrFenced)
	// As the protocol says, the older owner is not stopped by the store alone.
	full(old)
}

func testLossOfWipe(t *testing.T, s Rewinder) {
	old, _ := claim(t, s, epoch, mine)
	full(old)
	o, _ := claim(t, s, epoch+1, another)
	rewind := s.Mark(t)
	o.wipe()
	b := o.batch(everything)
	rewind()
	o.refused(b, processor.ErrLost)
	o.blind(processor.ErrLost)
}

func testLossOfWipeEnd(t *testing.T, s Rewinder) {
	c, err := s.Claim(t.Context(), input, processor.Claim{ID: id, Epoch: epoch, Claimer: mine})
	if err != nil {
		t.Fatal(err)
	}
	rewind := s.Mark(t)
	o := &owner{t: t, store: s, tp: input, claimer: mine, head: c.Header}
	o.wipe()
	b := o.batch(everything)
	rewind()
	o.refused(b, processor.ErrLost)
	o.blind(processor.ErrLost)
	_, next := claim(t, s, epoch+1, another)
	if !next.Header.Wiping {
		t.Error("the next owner is not told to go on with the emptying")
	}
}

func testLossOfEverything(t *testing.T, s Rewinder) {
	rewind := s.Mark(t)
	o, _ := claim(t, s, epoch, mine)
	full(o)
	b := o.batch(everything)
	rewind()
	o.refused(b, processor.ErrLost)
	o.blind(processor.ErrLost)
	testNothingStored(t, s)
	// Also for one who does not know the partition yet.
	if _, c := claim(t, s, epoch+1, another); !c.Header.Wiping || c.Header.Seq != 0 {
		t.Errorf("Claim = %+v, want a new header that is to be emptied", c.Header)
	}
}

// A paused owner goes on after the store has forgotten the newer claim: what it
// writes is a branch, which the next claim can tell by the history.
func testLossBranch(t *testing.T, s Rewinder) {
	old, _ := claim(t, s, epoch, mine)
	full(old)
	rewind := s.Mark(t)
	newer, _ := claim(t, s, epoch+1, another)
	full(newer)
	rewind()
	full(old)
	newer.refused(newer.batch(everything), processor.ErrFenced)
	newer.blind(processor.ErrFenced)
	_, c := claim(t, s, epoch+2, another)
	for holder, h := range map[string]processor.History{"store": c.Header.History, "newer owner": newer.head.History} {
		want := int64(epoch)
		if holder == "newer owner" {
			want = epoch + 1
		}
		if e, ok := h.EpochAt(2); !ok || e != want {
			t.Errorf("batch 2 was decided by epoch %d according to the %s, want %d", e, holder, want)
		}
	}
}

func testLossThenRepeat(t *testing.T, s Rewinder) {
	o, _ := claim(t, s, epoch, mine)
	rewind := s.Mark(t)
	first := full(o)
	second := full(o)
	rewind()
	// Out of their order they are refused, in order they are what they were.
	o.refused(second, processor.ErrLost)
	for _, b := range []*processor.Batch{first, second} {
		if err := s.Write(t.Context(), input, b); err != nil {
			t.Fatalf("Write of batch %d again = %v", b.Next.Seq, err)
		}
	}
	equal(t, "header", *o.peek(), o.head)
	if n := len(o.look().Claimed.Outbox); n != 2 {
		t.Errorf("the outbox has %d entries, want 2", n)
	}
}
