package processor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/processor"
)

// answerStand is a process that has worked on ten events, one a second, each of
// which starts a wait of four seconds: the first five have been sent, the last five
// wait. Of the batches, one an event, the last two are not published.
func answerStand(t *testing.T) *stand {
	t.Helper()
	sc := one(theRules(after(4*sec, "a")))
	for i := range int64(10) {
		sc.add(eventAt((i+1)*sec, "a", fmt.Sprint("u", i)), 0)
	}
	s := newStand(t, sc, nil)
	tp := inputPartition(0)
	part := s.claim(tp)
	for to := range int64(11) {
		s.consume(part, sc.input[0][:to])
		s.flush(part)
		if to <= 8 {
			s.publish()
		}
	}
	return s
}

// answer starts the process anew with answers.
func (s *stand) answer(reset processor.OffsetReset, acceptLoss bool) {
	s.cfg.Answers = processor.Answers{OnOffsetReset: reset, AcceptStateLoss: acceptLoss}
	s.cfg.Claimer += "a"
	s.pr = processor.New(s.cfg)
	for _, tp := range s.log.inputs() {
		s.pr.Own(tp, func(err error) { s.t.Fatalf("%s has to be recovered: %v", tp, err) })
	}
}

// more appends events of other users, each a second after the one before, and has
// them processed.
func (s *stand) more(part *processor.Partition, from, to int64) {
	s.t.Helper()
	for i := from; i < to; i++ {
		e := eventAt((i+1)*sec, "a", fmt.Sprint("u", i))
		rec := processor.Record{Offset: int64(len(s.log.input[inputPartition(0)])), Timestamp: e.time, Key: []byte(e.user), Value: e.value()}
		s.log.input[inputPartition(0)] = append(s.log.input[inputPartition(0)], rec)
	}
	s.finish(part)
}

// finish brings the partition to the end of the log and publishes.
func (s *stand) finish(part *processor.Partition) {
	s.t.Helper()
	recs := s.log.input[inputPartition(0)]
	if err := part.Consume(s.t.(*testing.T).Context(), slices.Clone(recs[min(part.Offset(), int64(len(recs))):])); err != nil {
		s.t.Fatalf("consume: %v", err)
	}
	s.flush(part)
	s.publish()
}

// sent lists the users that got a command, in order.
func (s *stand) sent() string {
	_, messages := s.log.records(inputPartition(0))
	var users []string
	for _, m := range messages {
		if m.topic == "sends" {
			users = append(users, m.key)
		}
	}
	return strings.Join(users, " ")
}

func (s *stand) requireSent(want string) {
	s.t.Helper()
	if got := s.sent(); got != want {
		s.t.Errorf("sent to %s\nwant    %s", got, want)
	}
}

func (s *stand) requireStop(says ...string) {
	s.t.Helper()
	_, err := s.tryClaim(inputPartition(0))
	var stop *processor.StopError
	if !errors.As(err, &stop) {
		s.t.Fatalf("error %v, want a StopError", err)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			s.t.Errorf("the error does not say %q:\n%v", part, err)
		}
	}
}

// What may be answered to a lost or moved offset, and what comes of it. Whether the
// claim is cut short after the answer was committed, and goes on without it, makes
// no difference.
func TestAnswersToResets(t *testing.T) {
	tp := inputPartition(0)
	expire := func(s *stand) { delete(s.log.committed, tp) }
	foreign := func(offset int64) func(*stand) {
		return func(s *stand) { s.log.committed[tp] = commit{offset, "consumer-3"} }
	}
	moved := func(offset int64) func(*stand) {
		return func(s *stand) { s.log.committed[tp] = commit{offset, s.log.committed[tp].metadata} }
	}
	const all = "u0 u1 u2 u3 u4 u5 u6 u7 u8 u9"
	for name, c := range map[string]struct {
		lose  []func(*stand)
		reset processor.OffsetReset
		want  string
	}{
		"expired, keep":            {[]func(*stand){expire}, processor.ResetKeep, all},
		"expired, rebuild":         {[]func(*stand){expire}, processor.ResetRebuild, all},
		"expired, emptied":         {[]func(*stand){expire, func(s *stand) { s.store.Clear() }}, processor.ResetRebuild, all},
		"foreign, keep":            {[]func(*stand){foreign(3)}, processor.ResetKeep, all},
		"foreign, rebuild":         {[]func(*stand){foreign(3)}, processor.ResetRebuild, all},
		"foreign, emptied":         {[]func(*stand){foreign(3), func(s *stand) { s.store.Clear() }}, processor.ResetRebuild, all},
		"moved back, keep":         {[]func(*stand){moved(2)}, processor.ResetKeep, all},
		"moved back, rebuild":      {[]func(*stand){moved(2)}, processor.ResetRebuild, all},
		"moved on, keep":           {[]func(*stand){moved(10)}, processor.ResetKeep, all},
		"moved on, emptied":        {[]func(*stand){moved(10), func(s *stand) { s.store.Clear() }}, processor.ResetKeep, all},
		"foreign, skip to the end": {[]func(*stand){foreign(12)}, processor.ResetSkip, "u0 u1 u2 u3 u4 u5 u6 u7 u8 u9 u12 u13"},
		"moved on, skip":           {[]func(*stand){moved(12)}, processor.ResetSkip, "u0 u1 u2 u3 u4 u5 u6 u7 u8 u9 u12 u13"},
	} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cut short is %v", name, cut), func(t *testing.T) {
				s := answerStand(t)
				skips := c.reset == processor.ResetSkip
				if skips { // there must be something to skip
					for i := range int64(2) {
						e := eventAt((i+11)*sec, "a", fmt.Sprint("skipped", i))
						s.log.input[tp] = append(s.log.input[tp], processor.Record{Offset: 10 + i, Timestamp: e.time, Key: []byte(e.user), Value: e.value()})
					}
				}
				for _, lose := range c.lose {
					lose(s)
				}
				s.answer(processor.ResetNone, false)
				s.requireStop("--on-offset-reset")
				s.answer(c.reset, false)
				if cut {
					h := &hooked{Store: s.cfg.Store, before: func(call string, _ processor.TopicPartition) error {
						if call == "claim" {
							return errOutOfReach
						}
						return nil
					}}
					store := s.cfg.Store
					s.cfg.Store = h
					s.answer(c.reset, false)
					if _, err := s.tryClaim(tp); !errors.Is(err, errOutOfReach) {
						t.Fatalf("the claim: %v", err)
					}
					s.cfg.Store = store
					s.answer(processor.ResetNone, false)
				}
				part := s.claim(tp)
				from := int64(10)
				if skips {
					from = 12
				}
				s.finish(part)
				s.more(part, from, from+10)
				want := c.want
				for i := from; i < from+6; i++ {
					if u := fmt.Sprint("u", i); !strings.Contains(want, u) {
						want += " " + u
					}
				}
				s.requireSent(want)

				// What the answer has made of it can be made again from the topics.
				s.store.Clear()
				s.answer(processor.ResetNone, false)
				part = s.claim(tp)
				if !part.Replaying() {
					t.Fatal("an emptied Redis is not replayed")
				}
				s.finish(part)
				s.requireSent(want)
				s.more(part, from+10, from+20)
				for i := from + 6; i < from+16; i++ {
					want += fmt.Sprint(" u", i)
				}
				s.requireSent(want)
			})
		}
	}
}

// Answers that would lose or repeat something are not followed.
func TestAnswersRefused(t *testing.T) {
	tp := inputPartition(0)
	for name, c := range map[string]struct {
		lose  func(*stand)
		reset processor.OffsetReset
		says  []string
	}{
		"skip goes only forwards": {
			func(s *stand) { s.log.committed[tp] = commit{4, s.log.committed[tp].metadata} },
			processor.ResetSkip,
			[]string{"skip cannot be followed", "offset is 4", "below 10 is applied", "only forwards"},
		},
		"skip without an offset": {
			func(s *stand) { delete(s.log.committed, tp) },
			processor.ResetSkip,
			[]string{"skip cannot be followed", "no offset to go on at"},
		},
		"keep without a state": {func(s *stand) {
			s.log.committed[tp] = commit{4, ""}
			s.store.Clear()
		}, processor.ResetKeep, []string{"keep cannot be followed", "no state to keep"}},
		"rebuild without the evidence": {func(s *stand) {
			delete(s.log.committed, tp)
			s.log.outLog("sends", 0).start, s.log.outLog("decisions", 0).start = 4, 4
		}, processor.ResetRebuild, []string{"rebuild cannot be followed", "do not tell all", "--accept-state-loss"}},
		"keep, and the evidence of what waits is gone": {func(s *stand) {
			delete(s.log.committed, tp)
			for _, topic := range []string{"sends", "decisions"} {
				s.log.outLog(topic, 0).start = s.log.outLog(topic, 0).end()
			}
		}, processor.ResetKeep, []string{"cannot be told", "--accept-state-loss"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := answerStand(t)
			c.lose(s)
			s.answer(c.reset, false)
			before := s.log.committed[tp]
			s.requireStop(c.says...)
			if now := s.log.committed[tp]; now != before {
				t.Errorf("K was %v, is %v", before, now)
			}
		})
	}
	t.Run("keep of what is older than the evidence", func(t *testing.T) {
		s := answerStand(t)
		part := s.claim(tp)
		s.publish()
		past := s.store.Snapshot()
		s.more(part, 10, 12)
		s.store.Restore(past)
		delete(s.log.committed, tp)
		s.answer(processor.ResetKeep, false)
		s.requireStop("keep cannot be followed", "hold batch 11", "Redis (batch 10, offset 10) does not know", "rebuild")
	})
}

// A group of another name over the same topics is told which names there were.
func TestRenamedGroupIsToldTheName(t *testing.T) {
	s := answerStand(t)
	delete(s.log.committed, inputPartition(0))
	s.store.Clear()
	s.cfg.Group = "renamed"
	for _, reset := range []processor.OffsetReset{processor.ResetNone, processor.ResetRebuild} {
		s.answer(reset, true)
		s.requireStop(`decided from it under the group "group"`, "Use the former group name")
	}
}

// The topic was created anew. The state is kept: what waits goes out.
func TestTopicCreatedAnew(t *testing.T) {
	tp := inputPartition(0)
	for name, forget := range map[string]func(*stand){
		"the offset is still there": func(*stand) {},
		"Kafka has forgotten it":    func(s *stand) { delete(s.log.committed, tp) },
	} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cut short is %v", name, cut), func(t *testing.T) {
				s := answerStand(t)
				s.log.topicID, s.log.input[tp] = "another.cluster0", nil
				forget(s)
				s.answer(processor.ResetNone, false)
				s.requireStop("created anew", "--on-offset-reset skip")
				s.answer(processor.ResetRebuild, false)
				s.requireStop("created anew", "--on-offset-reset skip")
				if cut {
					store := s.cfg.Store
					s.cfg.Store = &hooked{Store: store, before: func(call string, _ processor.TopicPartition) error {
						if call == "claim" {
							return errOutOfReach
						}
						return nil
					}}
					s.answer(processor.ResetSkip, false)
					if _, err := s.tryClaim(tp); !errors.Is(err, errOutOfReach) {
						t.Fatalf("the claim: %v", err)
					}
					s.cfg.Store = store
				} else {
					s.answer(processor.ResetSkip, false)
					s.claim(tp)
					s.publish()
				}
				s.answer(processor.ResetNone, false) // once is enough
				part := s.claim(tp)
				s.more(part, 20, 22)
				const want = "u0 u1 u2 u3 u4 u5 u6 u7 u8 u9"
				s.requireSent(want)

				// Lost writes since are replayed.
				past := s.store.Snapshot()
				s.more(part, 30, 32)
				s.requireSent(want + " u20 u21")
				s.store.Restore(past)
				part = s.claim(tp)
				if !part.Replaying() {
					t.Fatal("it is not replayed")
				}
				s.finish(part)
				s.more(part, 40, 42)
				s.requireSent(want + " u20 u21 u30 u31")

				// What came before cannot be made anew.
				s.store.Clear()
				s.answer(processor.ResetNone, false)
				s.requireStop("not in Redis any more", "--accept-state-loss")
				s.answer(processor.ResetNone, true)
				part = s.claim(tp)
				s.finish(part)
				s.more(part, 50, 52)
				s.requireSent(want + " u20 u21 u30 u31 u40 u41")
			})
		}
	}
}

// The log has lost its newest records.
func TestLogCutAbove(t *testing.T) {
	tp := inputPartition(0)
	s := answerStand(t)
	s.claim(tp)
	s.publish()
	s.log.input[tp] = s.log.input[tp][:7]
	s.answer(processor.ResetNone, false)
	s.requireStop("offset 10", "ends at 7", "--on-offset-reset skip")
	s.answer(processor.ResetSkip, false)
	part := s.claim(tp)
	if part.Offset() != 7 {
		t.Errorf("goes on at %d, want 7", part.Offset())
	}
	s.more(part, 20, 22)
	s.requireSent("u0 u1 u2 u3 u4 u5 u6 u7 u8 u9")
	s.answer(processor.ResetNone, false)
	part = s.claim(tp)
	s.more(part, 30, 31)
	s.requireSent("u0 u1 u2 u3 u4 u5 u6 u7 u8 u9 u20 u21")
}

// What retention has removed is gone. It goes on from there if somebody says so,
// and repeats nothing.
func TestAcceptedLoss(t *testing.T) {
	tp := inputPartition(0)
	for name, c := range map[string]struct {
		lose func(*stand)
		says string
		want string // of those that waited, and u20
	}{
		"unread records removed": {func(s *stand) { s.log.starts[tp] = 10; s.log.input[tp] = pad(s.log.input[tp], 10) }, "begins at 10", "u6 u7 u8 u9"},
		"emptied, the input begins later": {func(s *stand) {
			s.store.Clear()
			s.log.starts[tp] = 7
		}, "begins at 7", "u7 u8 u9"},
		"emptied, evidence is gone too": {func(s *stand) {
			s.store.Clear()
			s.log.starts[tp] = 3
			s.log.outLog("sends", 0).start, s.log.outLog("decisions", 0).start = 4, 4
		}, "begins at 3", "u6 u7 u8 u9"},
		"emptied, some evidence is gone": {func(s *stand) {
			s.store.Clear()
			s.log.outLog("sends", 0).start, s.log.outLog("decisions", 0).start = 4, 4
		}, "", "u6 u7 u8 u9"},
		"emptied, all evidence is gone": {func(s *stand) {
			s.store.Clear()
			for _, topic := range []string{"sends", "decisions"} {
				s.log.outLog(topic, 0).start = s.log.outLog(topic, 0).end()
			}
		}, "", "u6 u7 u8 u9"},
	} {
		t.Run(name, func(t *testing.T) {
			s := answerStand(t)
			part := s.claim(tp)
			s.finish(part)
			sentBefore := s.sent()
			c.lose(s)
			s.answer(processor.ResetNone, false)
			if c.says != "" && len(s.log.starts) > 0 && s.log.starts[tp] != 10 {
				s.requireStop(c.says, "--accept-state-loss")
			}
			s.answer(processor.ResetNone, true)
			part = s.claim(tp)
			s.finish(part)
			s.answer(processor.ResetNone, false) // it is not asked again
			part = s.claim(tp)
			s.finish(part)
			s.more(part, 20, 21)
			s.more(part, 40, 41)
			got := strings.TrimSpace(strings.TrimPrefix(s.sent(), sentBefore))
			if got != c.want+" u20" {
				t.Errorf("sent after %q: %q, want %q", sentBefore, got, c.want+" u20")
			}
		})
	}
}

// pad appends records that are no events up to the offset.
func pad(recs []processor.Record, to int64) []processor.Record {
	for int64(len(recs)) < to {
		recs = append(recs, processor.Record{Offset: int64(len(recs)), Control: true, Value: []byte{0}})
	}
	return recs
}
