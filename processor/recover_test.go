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
		r: &Header{
			ID: "shop topic-id.cluster 4", Epoch: 20, Version: 2, Seq: 5, History: k.History, Last: 5,
			Offset: 50, Clock: 1000, Base: 10,
		},
		groups: func() ([]string, error) { return nil, nil },
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
		"Redis lost writes": {func(f *finding) { f.r.Seq, f.r.Offset, f.r.Last = 3, 30, 3 }, standsBehind},
		"Redis wiped, nothing written since": {func(f *finding) {
			f.r.Seq, f.r.Offset, f.r.Last, f.r.History = 0, 10, 0, nil
		}, standsBehind},
		"a replay cut short":                            {func(f *finding) { f.r.Seq, f.r.Offset, f.r.Last = 3, 45, 3 }, standsBehind},
		"a replay cut short that had only timers to go": {func(f *finding) { f.r.Seq, f.r.Last = 4, 4 }, standsBehind},
		"a branch as long as the history": {func(f *finding) {
			f.r.History, f.r.Offset = History{{10, 1}, {15, 4}}, 55
		}, standsBranch},
		"a longer branch": {func(f *finding) {
			f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}, {20, 4}, {21, 5}}, 8, 80
		}, standsBranch},
		"a shorter branch": {func(f *finding) {
			f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}, {15, 4}}, 4, 40
		}, standsBranch},
		"another history altogether": {func(f *finding) { f.r.History = History{{11, 1}} }, standsBranch},
		"Redis is older than Kafka's list reaches": {func(f *finding) {
			f.recommit(func(k *Position) { k.History = History{{20, 4}} })
			f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}}, 2, 20
		}, standsBranch},
		"a branch beyond the log's end": {func(f *finding) {
			f.r.History, f.r.Seq, f.r.Offset = History{{10, 1}, {15, 4}}, 9, 99
		}, standsBranch},
		"Redis emptied":                    {func(f *finding) { f.r = nil }, standsEmpty},
		"being wiped":                      {func(f *finding) { f.r.Wiping, f.r.Seq, f.r.History = true, 0, nil }, standsEmpty},
		"being wiped, still with a number": {func(f *finding) { f.r.Wiping = true }, standsEmpty},
		"a gap lies between": {func(f *finding) {
			f.recommit(func(k *Position) { k.Gaps, k.Offset = []Gap{{50, 60}}, 60 })
		}, standsClean},
		"ahead of a gap": {func(f *finding) {
			f.recommit(func(k *Position) { k.Gaps, k.Offset = []Gap{{50, 60}}, 60 })
			f.r.Seq, f.r.Offset = 7, 55
		}, standsAhead},
		"the base was raised above where it stood": {func(f *finding) {
			f.recommit(func(k *Position) { k.Base, k.Lost = 60, true })
			f.kafka.Start = 60
		}, standsClean},
		"emptied after a loss that was accepted": {func(f *finding) {
			f.recommit(func(k *Position) { k.First, k.Lost = 4, true })
			f.r = nil
		}, standsEmpty},
		"the position was made from the evidence": {func(f *finding) { f.r.Offset = 53 }, standsAhead},
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
	for name, c := range map[string]struct {
		change func(*finding)
		says   []string
	}{
		"neither, but evidence of its own": {func(f *finding) {
			f.uncommit()
			f.r = nil
			f.groups = func() ([]string, error) { return []string{"shop"}, nil }
		}, []string{"neither Kafka nor Redis", "this group decided", "--on-offset-reset rebuild", startOver}},
		"neither, but evidence of others": {func(f *finding) {
			f.uncommit()
			f.r = nil
			f.groups = func() ([]string, error) { return []string{"boutique", "market"}, nil }
		}, []string{"neither Kafka nor Redis", `"boutique", "market"`, "renamed", "former group name", "new send and decision topics"}},
		"emptied, and the topic is not the one it was made from": {func(f *finding) {
			f.recommit(func(k *Position) { k.First = 4 })
			f.r = nil
		}, []string{"not in Redis any more", "before batch 4", "--accept-state-loss", "backup"}},
		"Redis from before the topic was created anew": {func(f *finding) {
			f.recommit(func(k *Position) { k.First = 6 })
			f.r.ID, f.r.Seq, f.r.Offset = "shop former-id.cluster 4", 3, 30
		}, []string{"former-id.cluster", "topic-id.cluster", "before the topic was created anew", "--accept-state-loss"}},
		"Redis of a topic that was created anew, Kafka forgot it": {func(f *finding) {
			f.uncommit()
			f.r.ID = "shop former-id.cluster 4"
		}, []string{"offset 50 of topic id former-id.cluster", "created anew", "--on-offset-reset skip"}},
		"Redis of another number of partitions": {func(f *finding) {
			f.uncommit()
			f.r.ID = "shop topic-id.cluster 8"
		}, []string{"4 partitions", "of 8", startOver}},
		"an answer that was not carried through": {func(f *finding) {
			f.recommit(func(k *Position) { k.First = 6 })
			f.r.Offset = 49
		}, []string{"batch 5", "49 and 50"}},
		"emptied, below the log's start": {
			func(f *finding) { f.r, f.kafka.Start = nil, 11 },
			[]string{"offset 10", "begins at 11", "--accept-state-loss", "retention"},
		},
		"Redis without Kafka": {
			func(f *finding) { f.uncommit() },
			[]string{"up to offset 50", "no committed offset", "expired", "--on-offset-reset", "keep", "rebuild", startOver},
		},
		"foreign metadata": {
			func(f *finding) { f.kafka.Metadata = "consumer-7" },
			[]string{"committed offset 50", "not written by nudged", "Redis holds its state up to offset 50", "keep", "rebuild", "skip", "another group name"},
		},
		"reset to no metadata": {
			func(f *finding) { f.kafka.Metadata, f.kafka.Offset = "", 0 },
			[]string{"committed offset 0", "not written by nudged"},
		},
		"damaged metadata": {
			func(f *finding) { f.kafka.Metadata += ";h=" },
			[]string{"committed offset 50", "cannot be read", "another group name"},
		},
		"moved back": {
			func(f *finding) { f.kafka.Offset = 20 },
			[]string{"committed offset is 20", "says 50", "moved", "back to 50", "keep", "rebuild", "skip", situation().kafka.Metadata},
		},
		"moved on": {
			func(f *finding) { f.kafka.Offset = 51 },
			[]string{"committed offset is 51", "says 50"},
		},
		"the topic was created anew": {
			func(f *finding) { f.kafka.TopicID = "other-id.cluster" },
			[]string{"topic-id.cluster", "other-id.cluster", "created anew", "up to offset 50", "--on-offset-reset skip", startOver},
		},
		"another cluster": {
			func(f *finding) { f.kafka.TopicID = "topic-id.elsewhere" },
			[]string{"topic-id.cluster", "topic-id.elsewhere", "another cluster", startOver},
		},
		"input partitions added": {
			func(f *finding) { f.kafka.Counts.Input = 8 },
			[]string{"numbers of partitions", "{4 2 3}", "{8 2 3}", "nudged rescale", startOver},
		},
		"another partition was processed under other numbers": {
			func(f *finding) { f.kafka.Elsewhere = &Counts{3, 2, 3} },
			[]string{"numbers of partitions", "{3 2 3}", "{4 2 3}", "nudged rescale"},
		},
		"input partitions missing": {func(f *finding) { f.kafka.Counts.Input = 3 }, []string{"{4 2 3}", "{3 2 3}", "Set them back"}},
		"the move was interrupted": {
			func(f *finding) { f.r.ID = "shop topic-id.cluster 3>4" },
			[]string{"from 3 partitions", "to 4", "interrupted", "Run nudged rescale again"},
		},
		"Redis is of before the move": {
			func(f *finding) { f.r.ID = "shop topic-id.cluster 3" },
			[]string{"has 4 partitions", "of 3", "nudged rescale"},
		},
		"moved users are gone": {func(f *finding) {
			f.recommit(func(k *Position) { k.First, k.Recounts = 6, []Recount{{3, 10, 10}} })
			f.r = nil
		}, []string{"no longer 3 partitions but 4", "run nudged rescale again", "--accept-state-loss"}},
		"send partitions added":     {func(f *finding) { f.kafka.Counts.Sends = 8 }, []string{"{4 2 3}", "{4 8 3}"}},
		"decision partitions added": {func(f *finding) { f.kafka.Counts.Decisions = 8 }, []string{"{4 2 3}", "{4 2 8}"}},
		"two deployments on one Redis": {
			func(f *finding) { f.r.ID = "shop topic-id.elsewhere 4" },
			[]string{"another input", "shop topic-id.elsewhere 4", "shop topic-id.cluster 4", "another Redis"},
		},
		"agreed on the batch, not on its offset": {
			func(f *finding) { f.r.Offset = 49 },
			[]string{"batch 5", "49 and 50", "restore"},
		},
		"below the log's start": {
			func(f *finding) { f.kafka.Start = 51 },
			[]string{"offset 50", "begins at 51", "retention", "--accept-state-loss", startOver},
		},
		"ahead, below the log's start": {
			func(f *finding) { f.r.Seq, f.r.Offset, f.kafka.Start = 6, 60, 61 },
			[]string{"offset 60", "begins at 61"},
		},
		"new, below the log's start": {func(f *finding) {
			f.recommit(func(k *Position) { k.Offset, k.Seq, k.Last, k.History = 10, 0, 0, nil })
			f.r, f.kafka.Start = nil, 11
		}, []string{"offset 10", "begins at 11"}},
		"above the log's end": {
			func(f *finding) { f.kafka.End = 49 },
			[]string{"offset 50", "ends at 49", "unclean leader election", "--on-offset-reset skip", startOver},
		},
		"ahead, above the log's end": {
			func(f *finding) { f.r.Seq, f.r.Offset, f.kafka.End = 6, 60, 59 },
			[]string{"offset 60", "ends at 59"},
		},
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
	f.groups = func() ([]string, error) { panic("asked for evidence though Kafka has an offset") }
	if _, err := f.find(); err != nil {
		t.Error(err)
	}
	f = situation()
	f.uncommit()
	f.r = nil
	broken := errors.New("the broker is gone")
	f.groups = func() ([]string, error) { return nil, broken }
	var stop *StopError
	if _, err := f.find(); !errors.Is(err, broken) || errors.As(err, &stop) {
		t.Errorf("error %v, want the broker's, to be tried again", err)
	}
}
