package processor

import (
	"errors"
	"fmt"
	"strings"
)

// StopError says why a partition cannot go on and what to do about it. Other
// partitions are not concerned.
type StopError struct {
	Input  TopicPartition
	Group  string
	Reason string
	Wayout string
	// User is whose state is to blame, "" if it is nobody's. The texts name him by a
	// hash: they are logged.
	User string

	kind stopKind
}

func (e *StopError) Error() string {
	return fmt.Sprintf("partition %s of group %q is stopped: %s. %s", e.Input, e.Group, e.Reason, e.Wayout)
}

// stopKind tells the stops apart that an operator can answer.
type stopKind int

const (
	stopFinal    stopKind = iota // no answer is taken
	stopMoved                    // the offset is not the one in its metadata
	stopForeign                  // the metadata is not ours
	stopExpired                  // Redis without Kafka
	stopUnknown                  // neither, but evidence
	stopAnew                     // the topic was created anew
	stopOlder                    // the topic was created anew, and Redis or its backup is of before
	stopBelow                    // the log begins later
	stopAbove                    // the log ends earlier
	stopTorn                     // an answer to the former was not carried through: it is now
	stopUntold                   // the evidence is incomplete
	stopBaseless                 // what the state was built from is not in the topic any more
)

// standing is where a claim finds a partition.
type standing int

const (
	standsNew    standing = iota // nothing was ever decided: start at the base
	standsClean                  // Redis and Kafka agree
	standsAhead                  // Redis holds batches that are not published yet
	standsBehind                 // Redis has lost writes: replay from where it stands
	standsBranch                 // Redis holds what was never published: empty it, replay from the base
	standsEmpty                  // Redis holds nothing: the same
)

// replays says that the state has to be brought up to Kafka's.
func (s standing) replays() bool { return s >= standsBehind }

// finding is what judge looks at.
type finding struct {
	input TopicPartition
	group string
	id    string // identity that the store must hold
	kafka Inspection
	k     *Position // nil: nothing committed
	r     *Header   // nil: nothing stored
	// groups tells who has decided from the partition; it is asked only when neither
	// k nor r exist.
	groups func() ([]string, error)
	// wipe says that an answer gives up what is stored.
	wipe bool
}

// The ways out that several stops have in common.
const (
	startOver    = "start over under a new group with new send and decision topics"
	answerReset  = "Answer with --on-offset-reset: keep goes on where Redis stands, rebuild makes the state anew from the topics; neither repeats a command"
	answerLoss   = "Answer with --accept-state-loss to go on from the log's start: what was started earlier and may have been decided ends without a decision"
	untoldWayout = answerLoss + "; or restore a backup of Redis that is not older; or " + startOver
)

// judge tells where a partition stands, or why it must stop: the recovery table
// of the protocol. It changes nothing.
func (f *finding) judge() (standing, error) {
	if err := f.judgeIdentity(); err != nil {
		return 0, err
	}
	k, r := f.k, f.r
	if r != nil && (r.Wiping || f.wipe) {
		r = nil
	}
	switch {
	case k == nil && f.r != nil:
		return 0, f.stop(stopExpired, "Redis holds its state up to offset %d, Kafka holds no committed offset: the offsets have expired or the group was deleted", f.r.Offset)(
			answerReset + "; or " + startOver)
	case k == nil:
		return f.judgeUnknown()
	case r == nil && k.Seq == 0:
		return standsNew, f.inLog(k.resume(k.Base))
	case r == nil:
		return standsEmpty, f.fromBase()
	}
	m := agreement(r.History, k.History, min(r.Seq, k.Seq))
	switch {
	case m == r.Seq && m == k.Seq:
		at, committed := k.resume(r.Offset), k.resume(k.Offset)
		if at > committed {
			// The position was made from the evidence, which does not tell how far the
			// newest batch went.
			return standsAhead, f.inLog(at)
		}
		if at < committed {
			kind := stopFinal
			if k.First > k.Seq {
				kind = stopTorn
			}
			return 0, f.stop(kind, "Redis and Kafka agree on batch %d but not on its offset: %d and %d", m, r.Offset, k.Offset)(
				"One of them was changed by hand: restore it")
		}
		return standsClean, f.inLog(k.resume(r.Offset))
	case m == k.Seq:
		return standsAhead, f.inLog(k.resume(r.Offset))
	case m == r.Seq:
		return standsBehind, f.inLog(k.resume(r.Offset))
	}
	return standsBranch, f.fromBase()
}

// judgeUnknown judges a partition of which neither Kafka nor Redis knows.
func (f *finding) judgeUnknown() (standing, error) {
	groups, err := f.groups()
	if err != nil {
		return 0, err
	}
	var others []string
	for _, g := range groups {
		if g == f.group {
			return 0, f.stop(stopUnknown, "neither Kafka nor Redis knows of it, but the send or decision topic holds records that this group decided from it: its offset and its state were lost")(
				"Answer with --on-offset-reset rebuild, which makes the state anew from the topics and repeats no command; or " + startOver)
		}
		others = append(others, fmt.Sprintf("%q", g))
	}
	if len(others) > 0 {
		return 0, f.stop(stopFinal, "neither Kafka nor Redis knows of it, but the send or decision topic holds records decided from it under the group %s: the group was renamed, or two deployments share the topics", strings.Join(others, ", "))(
			"Use the former group name; or start with new send and decision topics")
	}
	return standsNew, nil
}

// fromBase judges whether the state can be made anew.
func (f *finding) fromBase() error {
	if f.k.First > 1 && !f.k.Lost {
		return f.stop(stopBaseless, "its state is not in Redis any more, and what it was made from before batch %d is not in the topic: it was created anew or cut since", f.k.First)(answerLoss + "; or restore a backup of Redis")
	}
	return f.inLog(f.k.resume(f.k.Base))
}

func (f *finding) judgeIdentity() error {
	if k := f.k; k != nil {
		if k.TopicID != f.kafka.TopicID {
			return f.stop(stopAnew, "it was processed up to offset %d as topic id %s, the topic now has the id %s and offsets %d to %d: the topic was created anew, or this is another cluster",
				k.Offset, k.TopicID, f.kafka.TopicID, f.kafka.Start, f.kafka.End)(answerAnew)
		}
		if k.Offset != f.kafka.Offset {
			return f.stop(stopMoved, "the committed offset is %d, its metadata says %d: somebody has moved it", f.kafka.Offset, k.Offset)(
				fmt.Sprintf("Set the group's offset back to %d with the metadata %q; or answer with --on-offset-reset: keep goes back to %d, rebuild does so and makes the state anew, skip goes on at %d if that is later; or %s",
					k.Offset, k.Metadata(), k.Offset, f.kafka.Offset, startOver))
		}
		if k.Counts != f.kafka.Counts {
			return f.stopCounts(k.Counts)
		}
	}
	if f.r == nil || f.r.ID == f.id {
		return nil
	}
	return f.judgeStored()
}

// answerAnew is the way out where a topic was created anew.
const answerAnew = "Answer with --on-offset-reset skip, which keeps the state and goes on with the new topic; or " + startOver

// judgeStored tells why the store's identity is another.
func (f *finding) judgeStored() error {
	group, topic, count, ok := splitIdentity(f.r.ID)
	wantGroup, wantTopic, wantCount, _ := splitIdentity(f.id)
	_, cluster, _ := strings.Cut(topic, ".")
	_, wantCluster, _ := strings.Cut(wantTopic, ".")
	switch {
	case !ok || group != wantGroup || cluster != wantCluster:
		return f.stop(stopFinal, "Redis holds the state of another input: %s, expected %s: two deployments use one Redis with one group name", f.r.ID, f.id)(
			"Use another group name or another Redis")
	case topic != wantTopic && f.k != nil && f.k.First > f.k.Seq && agreement(f.r.History, f.k.History, min(f.r.Seq, f.k.Seq)) == f.k.Seq:
		return f.stop(stopTorn, "Kafka has committed offset %d of topic id %s, Redis holds its state as of topic id %s", f.k.Offset, f.k.TopicID, topic)(answerAnew)
	case topic != wantTopic && f.k != nil && f.k.First > 1:
		return f.stop(stopOlder, "Redis holds its state up to offset %d of topic id %s, Kafka has committed offset %d of topic id %s: Redis has lost writes from before the topic was created anew",
			f.r.Offset, topic, f.k.Offset, f.k.TopicID)(answerLoss + "; or restore a backup of Redis that is not older")
	case topic != wantTopic:
		return f.stop(stopAnew, "Redis holds its state up to offset %d of topic id %s, the topic now has the id %s and offsets %d to %d: the topic was created anew",
			f.r.Offset, topic, wantTopic, f.kafka.Start, f.kafka.End)(answerAnew)
	}
	return f.stop(stopFinal, "the input topic has %s partitions, its state in Redis is of %s: users lie in other partitions now", wantCount, count)(
		"Set them back, or " + startOver)
}

// splitIdentity takes apart what identity makes. Groups may hold spaces.
func splitIdentity(id string) (group, topic, count string, ok bool) {
	parts := strings.Split(id, " ")
	n := len(parts)
	if n < 3 {
		return "", "", "", false
	}
	return strings.Join(parts[:n-2], " "), parts[n-2], parts[n-1], true
}

func (f *finding) stopCounts(before Counts) error {
	now := f.kafka.Counts
	what := "users lie in other partitions now"
	if before.Input == now.Input {
		what = "what was decided earlier lies in other partitions than what is decided now"
	}
	return f.stop(stopFinal, "the numbers of partitions have changed: input, sends and decisions had %v, now %v: %s", before, now, what)(
		"Set them back, or " + startOver)
}

func (f *finding) inLog(offset int64) error {
	if offset < f.kafka.Start {
		return f.stop(stopBelow, "it has to go on at offset %d, the log begins at %d: retention has removed what is still needed", offset, f.kafka.Start)(
			answerLoss + "; or restore a backup of Redis that is not older; or " + startOver + ". Raise retention.ms of the input")
	}
	if offset > f.kafka.End {
		return f.stop(stopAbove, "it has to go on at offset %d, the log ends at %d: the topic has lost its newest records", offset, f.kafka.End)(
			"Check for unclean leader election. Answer with --on-offset-reset skip to go on at the log's end; or " + startOver)
	}
	return nil
}

// stop makes a StopError in two steps: the reason, then the way out.
func (f *finding) stop(kind stopKind, format string, args ...any) func(wayout string) error {
	return func(wayout string) error {
		return &StopError{Input: f.input, Group: f.group, Reason: fmt.Sprintf(format, args...), Wayout: wayout, kind: kind}
	}
}

// readPosition turns what Kafka holds into K.
func (f *finding) readPosition() error {
	if !f.kafka.Committed {
		return nil
	}
	k, err := ParsePosition(f.kafka.Metadata)
	if err != nil {
		what := "cannot be read: " + err.Error()
		if errors.Is(err, ErrForeignMetadata) {
			what = "was not written by nudged: another consumer uses the group, or somebody has reset it"
		}
		stands := "Redis holds nothing of it"
		if f.r != nil {
			stands = fmt.Sprintf("Redis holds its state up to offset %d", f.r.Offset)
		}
		return f.stop(stopForeign, "the metadata of the committed offset %d %s; %s", f.kafka.Offset, what, stands)(
			answerReset + "; skip keeps the state and goes on at the committed offset if that is later. Or use another group name, if another consumer uses this one")
	}
	f.k = &k
	return nil
}
