package processor

import (
	"errors"
	"strings"
	"testing"
)

// situation is a partition that was processed up to batch 5 and offset 50, with
// Redis and Kafka agreed. Each case of the tests changes what it is about.
func situation() *finding {
	k := Position{
		TopicID: "topic-id.cluster", Offset: 50, Base: 10, Epoch: 20, Claimer: "aaaaaaaa", Seq: 5,
		History: History{{10, 1}, {20, 4}}, Last: 5, Clock: 1000, Counts: Counts{4, 2, 3},
	}
	f := &finding{
		input: TopicPartition{"clicks", 3}, group: "shop", id: "shop topic-id.cluster 4",
		kafka: Inspection{Committed: true, Offset: 50, Start: 10, End: 90, TopicID: k.TopicID, Counts: k.Counts},
		r: &Header{ID: "shop topic-id.cluster 4", Epoch: 20, Version: 2, Seq: 5, History: k.History, Last: 5,
			Offset: 50, Clock: 1000, Base: 10},
		evidence: func() (bool, error) { return false, nil },
	}
	f.commit(k)
	return f
}

// commit puts k into Kafka.
func (f *finding) commit(k Position) {
	f.kafka.Offset, f.kafka.Metadata = k.Offset, k.Metadata()
}

// recommit changes what is committed.
func (f *finding) recommit(change func(*Position)) {
	k, err := ParsePosition(f.kafka.Metadata)
	if err != nil {
		panic(err)
	}
	change(&k)
	f.commit(k)
}

// uncommit is what the group's deletion leaves.
func (f *finding) uncommit() { f.kafka.Committed, f.kafka.Offset, f.kafka.Metadata = false, 0, "" }

// find reads and judges as a claim does.
func (f *finding) find() (standing, error) {
	if err := f.readPosition(); err != nil {
		return 0, err
	}
	return f.judge()
}

// The rows of the protocol's recovery table after which the partition goes on.
func TestClaimGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*finding)
		want   standing
	}{
		"clean": {func(f *finding) {}, standsClean},
		"clean, a later claim wrote nothing": {func(f *finding) {
			f.recommit(func(k *Position) { k.Epoch = 30 })
			f.r.Epoch, f.r.Version = 30, 0
		}, standsClean},
		"clean, claimed in Kafka but not in Redis": {func(f *finding) {
			f.recommit(func(k *Position) { k.Epoch = 30 })
		}, standsClean},
		"clean, at the end of the log":   {func(f *finding) { f.kafka.End = 50 }, standsClean},
		"clean, at the start of the log": {func(f *finding) { f.kafka.Start = 50 }, standsClean},
		"clean, nothing decided yet": {func(f *finding) {
			f.recommit(func(k *Position) { k.Offset, k.Seq, k.Last, k.History = 10, 0, 0, nil })
			f.r.Offset, f.r.Seq, f.r.Last, f.r.History = 10, 0, 0, nil
		}, standsClean},
		"ahead under the same epoch": {func(f *finding) { f.r.Seq, f.r.Offset = 7, 70 }, standsAhead},
		"ahead under a later epoch": {func(f *finding) {
			f.r.Seq, f.r.Offset, f.r.History = 7, 70, f.r.History.With(30, 6)
		}, standsAhead},
		"ahead, timers only": {func(f *finding) { f.r.Seq = 6 }, standsAhead},
		"ahead of a claim that published nothing": {func(f *finding) {
			f.recommit(func(k *Position) { k.Offset, k.Seq, k.Last, k.History = 10, 0, 0, nil })
		}, standsAhead},
		"new": {func(f *finding) {
			f.uncommit()
			f.r = nil
		}, standsNew},
		"new, claimed in Kafka only": {func(f *finding) {
			f.recommit(func(k *Position) { k.Offset, k.Seq, k.Last, k.History = 10, 0, 0, nil })
			f.r = nil
		}, standsNew},
		"new, the header is being made": {func(f *finding) {
			f.recommit(func(k *Position) { k.Offset, k.Seq, k.Last, k.History = 10, 0, 0, nil })
			f.r.Offset, f.r.Seq, f.r.Last, f.r.History, f.r.Wiping = 10, 0, 0, nil, true
		}, standsNew},
	} {
		t.Run(name, func(t *testing.T) {
			f := situation()
			c.change(f)
			got, err := f.find()
			if err != nil || got != c.want {
				t.Errorf("stands %d, %v, want %d", got, err, c.want)
			}
		})
	}
}

// The rows after which the partition stops, and what the operator is told:
// where, why with both offsets, and a way out.
func TestClaimStops(t *testing.T) {
	const startOver = "new group"
	for name, c := range map[string]struct {
		change func(*finding)
		says   []string
	}{
		"Redis lost writes": {func(f *finding) { f.r.Seq, f.r.Offset, f.r.Last = 3, 30, 3 },
			[]string{"lost writes", "batch 3, offset 30", "batch 5, offset 50", "backup", startOver}},
		"Redis wiped, nothing written since": {func(f *finding) { f.r.Seq, f.r.Offset, f.r.Last, f.r.History = 0, 10, 0, nil },
			[]string{"lost writes", "batch 0, offset 10", "batch 5, offset 50", "backup", startOver}},
		"a branch as long as the history": {func(f *finding) { f.r.History, f.r.Offset = History{{10, 1}, {15, 4}}, 55 },
			[]string{"branch", "agree up to batch 3", "5 (offset 55)", "5 (offset 50)", "backup", startOver}},
		"a longer branch": {func(f *finding) { f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}, {20, 4}, {21, 5}}, 8, 80 },
			[]string{"branch", "agree up to batch 4", "8 (offset 80)", "5 (offset 50)"}},
		"a shorter branch": {func(f *finding) { f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}, {15, 4}}, 4, 40 },
			[]string{"branch", "agree up to batch 3", "4 (offset 40)", "5 (offset 50)"}},
		"another history altogether": {func(f *finding) { f.r.History = History{{11, 1}} },
			[]string{"branch", "agree up to batch 0"}},
		"Redis is older than Kafka's list reaches": {func(f *finding) {
			f.recommit(func(k *Position) { k.History = History{{20, 4}} })
			f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}}, 2, 20
		}, []string{"branch", "agree up to batch 0", "2 (offset 20)", "5 (offset 50)"}},
		"Redis emptied": {func(f *finding) { f.r = nil },
			[]string{"Redis was emptied", "batch 5 at offset 50", "backup", startOver}},
		"being wiped": {func(f *finding) { f.r.Wiping, f.r.Seq, f.r.History = true, 0, nil },
			[]string{"Redis was emptied", "batch 5 at offset 50"}},
		"being wiped, still with a number": {func(f *finding) { f.r.Wiping = true },
			[]string{"Redis was emptied", "batch 5 at offset 50"}},
		"neither, but evidence": {func(f *finding) {
			f.uncommit()
			f.r = nil
			f.evidence = func() (bool, error) { return true, nil }
		}, []string{"neither Kafka nor Redis", "renamed", "former group name", "new send and decision topics"}},
		"Redis without Kafka": {func(f *finding) { f.uncommit() },
			[]string{"up to offset 50", "no committed offset", "expired", startOver}},
		"foreign metadata": {func(f *finding) { f.kafka.Metadata = "consumer-7" },
			[]string{"committed offset 50", "not written by nudged", "another group name"}},
		"reset to no metadata": {func(f *finding) { f.kafka.Metadata, f.kafka.Offset = "", 0 },
			[]string{"committed offset 0", "not written by nudged"}},
		"damaged metadata": {func(f *finding) { f.kafka.Metadata += ";h=" },
			[]string{"committed offset 50", "cannot be read", "another group name"}},
		"moved back": {func(f *finding) { f.kafka.Offset = 20 },
			[]string{"committed offset is 20", "says 50", "moved", "back to 50", situation().kafka.Metadata}},
		"moved on": {func(f *finding) { f.kafka.Offset = 51 },
			[]string{"committed offset is 51", "says 50"}},
		"the topic was created anew": {func(f *finding) { f.kafka.TopicID = "other-id.cluster" },
			[]string{"topic-id.cluster", "other-id.cluster", "created anew", startOver}},
		"another cluster": {func(f *finding) { f.kafka.TopicID = "topic-id.elsewhere" },
			[]string{"topic-id.cluster", "topic-id.elsewhere", "another cluster", startOver}},
		"input partitions added": {func(f *finding) { f.kafka.Counts.Input = 8 },
			[]string{"numbers of partitions", "{4 2 3}", "{8 2 3}", "Set them back", startOver}},
		"send partitions added":     {func(f *finding) { f.kafka.Counts.Sends = 8 }, []string{"{4 2 3}", "{4 8 3}"}},
		"decision partitions added": {func(f *finding) { f.kafka.Counts.Decisions = 8 }, []string{"{4 2 3}", "{4 2 8}"}},
		"two deployments on one Redis": {func(f *finding) { f.r.ID = "shop other.cluster 4" },
			[]string{"another input", "shop other.cluster 4", "shop topic-id.cluster 4", "another Redis"}},
		"agreed on the batch, not on its offset": {func(f *finding) { f.r.Offset = 49 },
			[]string{"batch 5", "49 and 50", "restore"}},
		"below the log's start": {func(f *finding) { f.kafka.Start = 51 },
			[]string{"offset 50", "begins at 51", "retention", startOver}},
		"ahead, below the log's start": {func(f *finding) { f.r.Seq, f.r.Offset, f.kafka.Start = 6, 60, 61 },
			[]string{"offset 60", "begins at 61"}},
		"new, below the log's start": {func(f *finding) {
			f.recommit(func(k *Position) { k.Offset, k.Seq, k.Last, k.History = 10, 0, 0, nil })
			f.r, f.kafka.Start = nil, 11
		}, []string{"offset 10", "begins at 11"}},
		"above the log's end": {func(f *finding) { f.kafka.End = 49 },
			[]string{"offset 50", "ends at 49", "unclean leader election", startOver}},
		"ahead, above the log's end": {func(f *finding) { f.r.Seq, f.r.Offset, f.kafka.End = 6, 60, 59 },
			[]string{"offset 60", "ends at 59"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := situation()
			c.change(f)
			stands, err := f.find()
			var stop *StopError
			if !errors.As(err, &stop) {
				t.Fatalf("stands %d, %v, want a StopError", stands, err)
			}
			if stop.Input != f.input || stop.Group != f.group || stop.Wayout == "" {
				t.Errorf("%+v does not tell partition, group and way out", stop)
			}
			for _, part := range append(c.says, "clicks/3", `"shop"`) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q:\n%v", part, err)
				}
			}
		})
	}
}

// Evidence costs a look at two topics: only a partition of which nothing else is
// known asks for it, and what cannot be asked is no answer.
func TestEvidenceIsAskedLast(t *testing.T) {
	f := situation()
	f.evidence = func() (bool, error) { panic("asked for evidence though Kafka has an offset") }
	if _, err := f.find(); err != nil {
		t.Error(err)
	}
	f = situation()
	f.uncommit()
	f.r = nil
	broken := errors.New("the broker is gone")
	f.evidence = func() (bool, error) { return false, broken }
	var stop *StopError
	if _, err := f.find(); !errors.Is(err, broken) || errors.As(err, &stop) {
		t.Errorf("error %v, want the broker's, to be tried again", err)
	}
}
