package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/processor"
)

// claimStand is a stand whose store can be hooked, on partitions of events that
// each make a send.
func claimStand(t *testing.T, partitions, events int) (*stand, *hooked) {
	t.Helper()
	sc := newScenario(theRules(atOnce("a")), processor.DecisionsFires, partitions)
	for i := range events {
		sc.add(eventAt(int64(i+1)*sec, "a", fmt.Sprint("u", i)), 0)
	}
	var h *hooked
	s := newStand(t, sc, func(c *processor.Config) {
		h = &hooked{Store: c.Store}
		c.Store = h
	})
	return s, h
}

// tryClaim claims without failing the test.
func (s *stand) tryClaim(tp processor.TopicPartition) (*processor.Partition, error) {
	parts, errs := s.pr.ClaimNow(s.t.(*testing.T).Context(), tp)
	return parts[0], errs[0]
}

func (s *stand) header(tp processor.TopicPartition) processor.Header {
	s.t.Helper()
	r, err := s.store.Peek(s.t.(*testing.T).Context(), tp)
	if err != nil || r == nil {
		s.t.Fatalf("R of %s: %v, %v", tp, r, err)
	}
	return *r
}

// A zombie that is not fenced yet may write between the look at R and the claim
// of it. Its batch is then the newest of the history: it is published, not passed
// by.
func TestZombieWritesWhileClaimed(t *testing.T) {
	s, h := claimStand(t, 1, 3)
	tp := inputPartition(0)
	zombie := s.claim(tp)
	s.consume(zombie, s.sc.input[0][:1])
	s.flush(zombie)
	s.publish()
	s.consume(zombie, s.sc.input[0][1:2])
	h.after = func(call string, _ processor.TopicPartition) error {
		if call == "peek" {
			h.after = nil
			s.flush(zombie)
		}
		return nil
	}
	part := s.claim(tp)
	if part.Offset() != 2 {
		t.Errorf("goes on at offset %d, want 2", part.Offset())
	}
	s.consume(part, s.sc.input[0])
	s.flush(part)
	s.publish()
	checkOutcome(t, s.sc, s.log, s.store)
}

// Redis emptied between the look at R and the claim of it: to begin anew would
// decide everything a second time.
func TestStoreEmptiedWhileClaimed(t *testing.T) {
	s, h := claimStand(t, 1, 3)
	tp := inputPartition(0)
	part := s.claim(tp)
	s.consume(part, s.sc.input[0][:2])
	s.flush(part)
	s.publish()
	h.after = func(call string, _ processor.TopicPartition) error {
		if call == "peek" {
			h.after = nil
			s.store.Clear()
		}
		return nil
	}
	part = s.claim(tp)
	if !part.Replaying() || part.Offset() != 0 {
		t.Fatalf("replaying is %v, at offset %d", part.Replaying(), part.Offset())
	}
	s.consume(part, s.sc.input[0])
	s.flush(part)
	s.publish()
	checkOutcome(t, s.sc, s.log, s.store)
}

// A stop is judged before anything is written: a claim would overwrite the traces.
func TestStopLeavesEverythingAsItWas(t *testing.T) {
	s, _ := claimStand(t, 1, 3)
	tp := inputPartition(0)
	part := s.claim(tp)
	s.consume(part, s.sc.input[0])
	s.flush(part)
	s.publish()
	s.log.committed[tp] = commit{1, s.log.committed[tp].metadata}
	committed, header := s.log.committed[tp], s.header(tp)
	_, err := s.tryClaim(tp)
	var stop *processor.StopError
	if !errors.As(err, &stop) {
		t.Fatalf("error %v, want a StopError", err)
	}
	if now := s.log.committed[tp]; now != committed {
		t.Errorf("K was %v, is %v", committed, now)
	}
	if now := s.header(tp); now.Epoch != header.Epoch || now.Version != header.Version {
		t.Errorf("R was %+v, is %+v", header, now)
	}
}

// Claims share a transaction. One that stops, or that the store refuses, is no
// matter of the others.
func TestClaimsTogether(t *testing.T) {
	s, h := claimStand(t, 4, 0)
	s.log.committed[inputPartition(1)] = commit{5, "not ours"}
	broken := errors.New("out of reach")
	h.before = func(call string, tp processor.TopicPartition) error {
		if call == "claim" && tp.Partition == 2 {
			return broken
		}
		return nil
	}
	parts, errs := s.pr.ClaimNow(t.Context(), s.log.inputs()...)
	var stop *processor.StopError
	if parts[0] == nil || errs[0] != nil || parts[3] == nil || errs[3] != nil {
		t.Errorf("claims of 0 and 3: %v, %v", errs[0], errs[3])
	}
	if !errors.As(errs[1], &stop) || !errors.Is(errs[2], broken) {
		t.Errorf("claims of 1 and 2: %v, %v", errs[1], errs[2])
	}
	if got := s.log.committed[inputPartition(1)].metadata; got != "not ours" {
		t.Errorf("the stopped partition was committed as %q", got)
	}
}

// The epoch is durable in Kafka before Redis sees it, and above every earlier one.
func TestEpochs(t *testing.T) {
	s, h := claimStand(t, 1, 1)
	tp := inputPartition(0)
	h.before = func(call string, _ processor.TopicPartition) error {
		k, _ := s.log.position(tp)
		r, err := s.store.Peek(t.Context(), tp)
		if call == "claim" && (err != nil || k.Epoch == 0 || r != nil && r.Epoch >= k.Epoch) {
			t.Errorf("Redis is claimed, K is %+v, R is %+v, %v", k, r, err)
		}
		return nil
	}
	last := int64(0)
	for _, now := range []int64{1000, 1000, 7, 5000} {
		s.now = now
		s.claim(tp)
		k, _ := s.log.position(tp)
		if r := s.header(tp); r.Epoch != k.Epoch || k.Epoch <= last || k.Epoch < now || k.Claimer != "aaaaaaaa" {
			t.Errorf("at %d K has epoch %d of %q, R %d, before it was %d", now, k.Epoch, k.Claimer, r.Epoch, last)
		}
		last = s.header(tp).Epoch
	}
	// Not the owner any more: Redis is left alone.
	s.log.assign(tp, "another")
	if _, err := s.tryClaim(tp); !errors.Is(err, processor.ErrNotOwner) || s.header(tp).Epoch != last {
		t.Errorf("error %v, R has epoch %d, want ErrNotOwner and %d", err, s.header(tp).Epoch, last)
	}
}

// Batches of the outbox are published as they stand and in their order, those
// that K has already are not published again.
func TestAdoption(t *testing.T) {
	s, _ := claimStand(t, 1, 6)
	tp := inputPartition(0)
	part := s.claim(tp)
	step := func(to int) {
		s.consume(part, s.sc.input[0][:to])
		s.flush(part)
	}
	step(2)
	s.publish()
	step(3) // tells the store that batch 1 is out; 2 and 3 are not
	s.publish()
	step(4)
	step(5)
	part = s.claim(tp)
	if batches, records := part.Unpublished(); batches != 1 || !records {
		t.Errorf("%d publications wait, with records: %v, want all in one", batches, records)
	}
	pub := part.Pending()
	if records := recordsOf(pub); len(records) != 4 || pub.Commit.Seq != 4 || pub.Commit.Offset != 5 || pub.Commit.Last != 4 {
		t.Errorf("%d records wait, commit %+v; want those of batches 3 and 4", len(records), pub.Commit)
	}
	s.publish()
	step(6)
	s.publish()
	checkOutcome(t, s.sc, s.log, s.store)
}

// An outbox that does not hold what it must stops the partition: to go on would
// lose commands.
func TestOutboxChangedByHand(t *testing.T) {
	for name, change := range map[string]func(*processor.Claimed){
		"emptied": func(c *processor.Claimed) { c.Outbox = nil },
		"the newest is gone": func(c *processor.Claimed) {
			c.Outbox = slices.DeleteFunc(c.Outbox, func(e processor.OutboxEntry) bool { return e.Seq == c.Header.Seq })
		},
		"cut short": func(c *processor.Claimed) {
			newest := &c.Outbox[len(c.Outbox)-1]
			newest.Records = newest.Records[:len(newest.Records)-1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := claimStand(t, 1, 3)
			tp := inputPartition(0)
			part := s.claim(tp)
			for to := range 4 {
				s.consume(part, s.sc.input[0][:to])
				s.flush(part)
			}
			h.Store = changed{s.store, change}
			_, err := s.tryClaim(tp)
			var stop *processor.StopError
			if !errors.As(err, &stop) || !strings.Contains(err.Error(), "outbox") || stop.Input != tp || stop.Wayout == "" {
				t.Errorf("error %v, want a StopError that tells of the outbox", err)
			}
		})
	}
}

// changed is a store of which a claim finds something else than what was written.
type changed struct {
	processor.Store
	change func(*processor.Claimed)
}

func (c changed) Claim(ctx context.Context, tp processor.TopicPartition, claim processor.Claim) (*processor.Claimed, error) {
	out, err := c.Store.Claim(ctx, tp, claim)
	if err == nil {
		c.change(out)
	}
	return out, err
}
