package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nudged/nudged/sinks"
)

// claimRequest is a worker's wish to own its partition.
type claimRequest struct {
	input  TopicPartition
	worker *worker
	reply  chan claimReply
}

type claimReply struct {
	partition *Partition
	err       error
}

// gatherClaims is how long the first claim waits for others, so that all
// partitions just assigned share one transaction.
const gatherClaims = 20 * time.Millisecond

// claimLoop answers claims until the context ends.
func (pr *Processor) claimLoop(ctx context.Context) {
	for {
		var reqs []claimRequest
		select {
		case <-ctx.Done():
			return
		case r := <-pr.claims:
			reqs = append(reqs, r)
		}
		gather := time.After(gatherClaims)
		for gathering := true; gathering; {
			select {
			case r := <-pr.claims:
				reqs = append(reqs, r)
			case <-gather:
				gathering = false
			}
		}
		pr.claim(ctx, reqs)
	}
}

// claiming is one partition on its way through a claim.
type claiming struct {
	claimRequest
	finding finding
	stands  standing
	commit  Position // K as the claim commits it
	// takeover is what an answer to a stop asks for: to take over what is stored
	// under another identity.
	takeover *Takeover
}

// claim carries out the protocol's claim for all requests and answers each.
func (pr *Processor) claim(ctx context.Context, reqs []claimRequest) {
	if pr.begin(ctx) != nil {
		return // the workers' contexts have ended, too
	}
	defer pr.end()
	answer := func(r claimRequest, p *Partition, err error) { r.reply <- claimReply{p, err} }
	tps := make([]TopicPartition, len(reqs))
	for i, r := range reqs {
		tps[i] = r.input
	}
	kafka, err := pr.cfg.Log.Inspect(ctx, tps)
	if err != nil {
		for _, r := range reqs {
			answer(r, nil, fmt.Errorf("read the committed offset of %s: %w", r.input, err))
		}
		return
	}
	var judged []*claiming
	for _, r := range reqs {
		c := &claiming{claimRequest: r}
		if err := pr.judge(ctx, c, kafka[r.input]); err != nil {
			answer(r, nil, err)
			continue
		}
		judged = append(judged, c)
	}
	var going []*claiming
	var pubs []*Publication
	for _, c := range judged {
		// A worker that is gone was revoked. If the partition has come back since,
		// Kafka would take from this assignment what was read under the former one.
		if !pr.employs(c.worker) {
			answer(c.claimRequest, nil, fmt.Errorf("claim %s: %w", c.input, ErrNotOwner))
			continue
		}
		going = append(going, c)
		pubs = append(pubs, &Publication{Input: c.input, Commit: c.commit})
	}
	if len(going) == 0 {
		return
	}
	// Only this makes the epochs valid: the group's coordinator refuses it from
	// whoever does not own the partitions.
	if err := pr.transact(ctx, pubs); err != nil {
		for _, c := range going {
			answer(c.claimRequest, nil, fmt.Errorf("claim %s: %w", c.input, err))
		}
		return
	}
	for _, c := range going {
		p, err := pr.take(ctx, c)
		answer(c.claimRequest, p, err)
	}
}

// employs says that the worker's partition has not been revoked.
func (pr *Processor) employs(w *worker) bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return pr.workers[w.input] == w
}

// judge reads R and tells where the partition stands, before anything is
// written: a claim would overwrite the traces.
func (pr *Processor) judge(ctx context.Context, c *claiming, kafka Inspection) error {
	r, err := pr.cfg.Store.Peek(ctx, c.input)
	if err != nil {
		return fmt.Errorf("read the stored header of %s: %w", c.input, err)
	}
	c.finding = finding{
		input: c.input, group: pr.cfg.Group, id: identity(pr.cfg.Group, kafka), kafka: kafka, r: r,
	}
	c.finding.groups = func() ([]string, error) {
		found, err := pr.survey(ctx, &c.finding, Evidence{}, nil)
		if err != nil {
			return nil, err
		}
		if found.found {
			return []string{pr.cfg.Group}, nil
		}
		return found.others, nil
	}
	if err := c.settle(ctx, pr); err != nil {
		return err
	}
	if c.finding.k != nil {
		c.commit = *c.finding.k
	} else {
		base := kafka.Start
		if pr.cfg.StartLatest {
			base = kafka.End
		}
		c.commit = Position{TopicID: kafka.TopicID, Offset: base, Base: base, Counts: kafka.Counts}
	}
	epoch := max(c.commit.Epoch+1, pr.cfg.Now())
	if h := c.commit.History; len(h) > 0 {
		epoch = max(epoch, h[len(h)-1].Epoch+1) // an answer may know of nothing else
	}
	if r != nil {
		epoch = max(epoch, r.Epoch+1)
	}
	c.commit.Epoch, c.commit.Claimer = epoch, pr.cfg.Claimer
	return nil
}

// identity is what a stored header must say it belongs to.
func identity(group string, kafka Inspection) string {
	return Identity(group, kafka.TopicID, fmt.Sprint(kafka.Counts.Input))
}

// Identity is what the header of a partition says it belongs to.
func Identity(group, topicID, count string) string { return group + " " + topicID + " " + count }

// take claims the partition in the store and opens it.
func (pr *Processor) take(ctx context.Context, c *claiming) (*Partition, error) {
	cfg := pr.settings()
	names := map[uint32]string{}
	for id, name := range cfg.Set.Names() {
		names[uint32(id)] = name
	}
	claimed, err := pr.cfg.Store.Claim(ctx, c.input, Claim{
		ID: c.finding.id, Epoch: c.commit.Epoch, Claimer: pr.cfg.Claimer, Base: c.commit.Base, Names: names, Takeover: c.takeover,
	})
	if err != nil {
		return nil, fmt.Errorf("claim %s under epoch %d: %w", c.input, c.commit.Epoch, err)
	}
	// The table again, by what the claim found: between the look at R and the claim
	// a former owner may have written, or Redis may have lost something.
	k := c.commit
	c.finding.k, c.finding.r, c.finding.kafka.Offset = &k, &claimed.Header, k.Offset
	if c.stands, err = c.finding.judge(); err != nil {
		return nil, err
	}
	rebuild := c.stands == standsBranch || c.stands == standsEmpty
	if claimed.Header.Wiping || rebuild || c.finding.wipe {
		if err := pr.empty(ctx, c, claimed); err != nil {
			return nil, err
		}
	}
	after := c.finding.kafka.Evidence
	x := &claimed.Header.Evidence
	x.SendPartition, x.DecisionPartition = after.SendPartition, after.DecisionPartition
	if k.Seq > 0 && (rebuild || c.stands.replays()) {
		p := openPartition(cfg, c.input, claimed, c.commit)
		p.beginReplay(k, after, rebuild, func(ctx context.Context, from Evidence) (EvidenceReader, error) {
			return pr.cfg.Log.Evidence(ctx, from, after)
		})
		return p, nil
	}
	*x = after
	claimed.Header.Offset, claimed.Header.Base = k.resume(claimed.Header.Offset), k.Base
	p := openPartition(cfg, c.input, claimed, c.commit)
	p.clock = max(p.clock, k.Clock)
	if c.stands == standsAhead {
		if err := p.adopt(claimed); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// empty removes what the store holds of the partition: it then stands at the base.
func (pr *Processor) empty(ctx context.Context, c *claiming, claimed *Claimed) error {
	if err := pr.cfg.Store.Wipe(ctx, c.input, c.commit.Epoch); err != nil {
		return fmt.Errorf("empty what is left of %s: %w", c.input, err)
	}
	h, err := pr.cfg.Store.Peek(ctx, c.input)
	if err != nil {
		return fmt.Errorf("read the stored header of %s: %w", c.input, err)
	}
	if h == nil || h.Epoch != c.commit.Epoch || h.Wiping || h.Seq != 0 {
		return fmt.Errorf("claim %s: %w", c.input, ErrLost)
	}
	claimed.Header, claimed.Buckets, claimed.Outbox = *h, nil, nil
	claimed.Header.Offset, claimed.Header.Base = c.commit.Base, c.commit.Base
	return nil
}

var errOutboxGap = errors.New("the outbox lacks a batch that is not published yet: Redis was changed by hand")

// adopt puts the batches that Redis holds beyond Kafka up for publication, as
// they stand.
func (p *Partition) adopt(c *Claimed) error {
	var entries [][]byte
	newest := int64(0)
	for _, entry := range c.Outbox {
		if entry.Seq <= p.published {
			continue
		}
		if err := EachRecord(entry.Records, func(*sinks.Record) error { return nil }); err != nil {
			return p.stop(fmt.Sprintf("outbox entry %d cannot be read: %v", entry.Seq, err))
		}
		entries = append(entries, entry.Records)
		newest = entry.Seq
	}
	if c.Header.Last > p.published && newest < c.Header.Last {
		return p.stop(errOutboxGap.Error())
	}
	p.hand(c.Header.Seq, c.Header, entries...)
	return nil
}

func (p *Partition) stop(reason string) error {
	return &StopError{
		Input: p.input, Group: p.cfg.Group, Reason: reason,
		Wayout: "Restore Redis from a backup, or start over under a new group with new send and decision topics",
	}
}
