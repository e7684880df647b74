package doctor

import (
	"errors"
	"fmt"

	"github.com/nudged/nudged/processor"
)

// manyRecords is a lag that is worth a word.
const manyRecords = 100_000

// state judges each input partition: how far it is behind, and whether Kafka and
// Redis fit together.
func (n *findings) state(f *Facts) {
	k, c := f.Kafka, &f.Config
	if k.Err != nil {
		n.add(Unknown, "state", "", "", "Kafka cannot be asked")
		return
	}
	if k.StateErr != nil {
		n.add(Unknown, "state", "", "", "%v", k.StateErr)
		return
	}
	members := 0
	for _, count := range k.Group.Clients {
		members += count
	}
	for i := range k.Partitions {
		p := &k.Partitions[i]
		n.lag(p, members)
		n.standing(p, c.Kafka.Group)
	}
}

func (n *findings) lag(p *Partition, members int) {
	at, since := p.Kafka.Offset, fmt.Sprintf("committed is offset %d", p.Kafka.Offset)
	if !p.Kafka.Committed {
		at, since = p.Kafka.Start, "nothing is committed"
	}
	behind := max(0, p.Kafka.End-at)
	found := fmt.Sprintf("%d records behind: %s, the log is %d to %d", behind, since, p.Kafka.Start, p.Kafka.End)
	switch {
	case members == 0 && behind > 0:
		n.add(Warning, "kafka.lag", p.Input.String(), "Start nudged run", "%s; nobody is in the group", found)
	default:
		n.unless(behind > manyRecords, Warning, "kafka.lag", p.Input.String(), "See docs/runbook, or start more processes", "%s", found)
	}
}

// told is what the standings mean.
var told = map[string]string{
	"new":    "nothing was ever decided",
	"clean":  "Redis and Kafka agree",
	"ahead":  "Redis holds batches that are not published yet; they are, as they stand, by whoever goes on",
	"behind": "Redis is behind Kafka: what it lacks is replayed by whoever goes on, deciding nothing anew",
	"branch": "Redis holds batches that were never published: the state is rebuilt from the topics by whoever goes on",
	"empty":  "Redis holds no state, or was being emptied: the state is rebuilt from the topics by whoever goes on",
}

func (n *findings) standing(p *Partition, group string) {
	subject := p.Input.String()
	if p.Err != nil {
		n.add(Unknown, "state", subject, "", "what Redis holds of it cannot be read: %v", p.Err)
		return
	}
	o, err := p.outlook(group)
	var stop *processor.StopError
	switch {
	case errors.As(err, &stop):
		n.add(Failure, "state", subject, stop.Wayout, "nudged run stops it: %s", stop.Reason)
		return
	case err != nil:
		n.add(Failure, "state", subject, "", "%v", err)
		return
	}
	found := told[o.Standing]
	if h := p.Header; h != nil {
		found += fmt.Sprintf("; in Redis: epoch %d, batch %d, offset %d", h.Epoch, h.Seq, h.Offset)
	}
	if k := o.Position; k != nil {
		found += fmt.Sprintf("; in Kafka: epoch %d, batch %d, offset %d", k.Epoch, k.Seq, k.Offset)
		if k.Seq > 0 && p.Kafka.Start > k.Base && !k.Lost {
			found += fmt.Sprintf("; an emptied Redis would need --accept-state-loss, as the log begins at %d and the state at %d", p.Kafka.Start, k.Base)
		}
	}
	switch {
	case o.Standing == "new" && p.OthersErr != nil:
		n.add(Unknown, "state", subject, "", "%s, as far as Kafka and Redis tell; whether another group has decided from it, or this one before all was lost, could not be read: %v", found, p.OthersErr)
	default:
		n.unless(o.Standing == "behind" || o.Standing == "branch" || o.Standing == "empty", Warning, "state", subject,
			"Nothing, if nudged run is running: /readyz says when it is done. Else start it. Find out what Redis has lost, and why", "%s", found)
	}
}
