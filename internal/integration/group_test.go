package integration

import (
	"math/rand/v2"
	"testing"
)

// Of two processes one is killed in the middle: the other decides the rest.
func TestOneOfTwoKilled(t *testing.T) {
	t.Parallel()
	_, want := bigShop(t)
	w := newWorld(t, shopPartitions, nil)
	config := w.config(shopRules, "event", smallCache)
	both := []*daemon{start(t, "--config", config), start(t, "--config", config)}
	for _, d := range both {
		d.untilReady(shopPartitions / 2)
	}
	rnd := rand.New(rand.NewPCG(2, 0))
	loaded := w.load(shared.file)
	w.tail(w.sends).untilCount(1 + rnd.IntN(want.sent().total()/2))
	victim := rnd.IntN(2)
	both[victim].kill()
	if w.consumed() {
		t.Fatal("the process was killed when all had been done: there was no middle")
	}
	loaded()
	w.untilConsumed()
	both[1-victim].untilReady(shopPartitions)
	both[1-victim].terminate()
	w.requireOutcomes(want)
}

// A second process joins while events come in, and later is asked to leave.
func TestSecondJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	want := expected(t, python(t), shopFile)
	config := w.config(shopRules, "event")
	first := start(t, "--config", config)
	first.untilReady(shopPartitions)

	// The 170 minutes in 17 seconds.
	loaded := w.load(shopFile, "--speed", "600x")
	sends := w.tail(w.sends)
	sends.untilCount(want.sent().total() / 8)
	second := start(t, "--config", config)
	second.untilReady(shopPartitions / 2)
	first.untilReady(shopPartitions / 2)
	sends.untilCount(min(len(sends.records)+want.sent().total()/8, want.sent().total()))
	second.terminate()
	first.untilReady(shopPartitions)

	loaded()
	w.untilConsumed()
	first.terminate()
	w.requireOutcomes(want)
}
