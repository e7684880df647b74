package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// number reads a setting, false if it is not told.
func (s *Settings) number(name string) (int64, bool) {
	v, err := strconv.ParseInt(s.Values[name], 10, 64)
	return v, err == nil
}

func (s *Settings) milliseconds(name string) (time.Duration, bool) {
	v, ok := s.number(name)
	return time.Duration(min(v, int64(forever/time.Millisecond))) * time.Millisecond, ok
}

// forever is a time that no retention is longer than.
const forever = 250 * 365 * 24 * time.Hour

// retention is how long a topic keeps records.
func (s *Settings) retention() (time.Duration, bool) {
	d, ok := s.milliseconds("retention.ms")
	if d < 0 {
		d = forever
	}
	return d, ok
}

func span(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d >= forever:
		return "for ever"
	case d >= 2*day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

func (n *findings) topics(f *Facts) {
	k, c := f.Kafka, &f.Config
	for _, topic := range topicsOf(c) {
		t := k.Topics[topic]
		subject := "topic " + topic
		switch {
		case denied(t.Err):
			n.add(Unknown, "kafka.topic", subject, "", "not allowed to see whether it exists")
		case t.Err != nil:
			n.add(Failure, "kafka.topic", subject, fmt.Sprintf("Create it, for example by deploy/kafka/topics.sh, or with kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 12; or name another in kafka.topics", c.Kafka.Brokers[0], topic),
				"it cannot be used: %v", t.Err)
		case len(t.Leaderless) > 0:
			n.add(Failure, "kafka.topic", subject, "Bring back the brokers that hold them", "partitions %v have no leader", t.Leaderless)
		default:
			n.ok("kafka.topic", subject, "%d partitions", t.Partitions)
		}
		if t.Err != nil {
			continue
		}
		if t.Settings.Err != nil {
			do := fmt.Sprintf("To have it told: kafka-acls.sh --add --allow-principal User:<name> --topic %s --operation DescribeConfigs", topic)
			n.add(Unknown, "kafka.retention", subject, do, "%s", t.Settings.saw())
		}
		n.durability(topic, &t, &k.Settings)
		if t.Settings.Err == nil {
			n.cleanup(f, topic, &t.Settings)
			n.messageSize(f, topic, &t.Settings)
			n.timestamps(f, topic, &t.Settings)
		}
	}
	n.retentions(f)
	n.partitionCounts(f)
}

// durability judges whether Kafka may lose what it has acknowledged.
func (n *findings) durability(topic string, t *Topic, brokers *Settings) {
	subject := "topic " + topic
	if t.Settings.Err != nil {
		n.unless(t.Replicas < 3, Warning, "kafka.durability", subject, "Give it three replicas", "%d replicas; min.insync.replicas: %s", t.Replicas, t.Settings.saw())
		return
	}
	inSync, _ := t.Settings.number("min.insync.replicas")
	unclean := t.Settings.Values["unclean.leader.election.enable"] == "true"
	var bad, do []string
	if t.Replicas < 3 {
		bad, do = append(bad, "fewer than 3 replicas"), append(do, "give it three replicas")
	}
	if inSync < 2 {
		bad, do = append(bad, "a write counts once a single replica has it"), append(do, "set min.insync.replicas to 2")
	}
	if unclean {
		bad, do = append(bad, "a replica that lags may become leader"), append(do, "set unclean.leader.election.enable to false")
	}
	found := fmt.Sprintf("%d replicas, min.insync.replicas %d", t.Replicas, inSync)
	if len(bad) > 0 {
		found += ": " + strings.Join(bad, ", ")
	}
	if int(inSync) > t.Replicas {
		n.add(Failure, "kafka.durability", subject, "Set min.insync.replicas to at most the number of replicas", "%s: nothing can be written", found)
		return
	}
	n.unless(len(bad) > 0, Warning, "kafka.durability", subject, sentence(strings.Join(do, ", ")), "%s", found)
	if len(t.UnderInSync) > 0 {
		n.add(Warning, "kafka.durability", subject, "Look into the brokers that hold its replicas", "partitions %v have replicas that are not in sync", t.UnderInSync)
	}
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (n *findings) cleanup(f *Facts, topic string, s *Settings) {
	t, policy := &f.Config.Kafka.Topics, s.Values["cleanup.policy"]
	worst := Warning
	if topic == t.Sends || topic == t.Decisions {
		worst = Failure // commands of one user would replace each other
	}
	n.unless(strings.Contains(policy, "compact"), worst, "kafka.cleanup", "topic "+topic, "Set cleanup.policy to delete", "%s", policy)
}

// producedBytes is the most that nudged's producer sends a partition at a time.
const producedBytes = 1_000_012

func (n *findings) messageSize(f *Facts, topic string, s *Settings) {
	most, told := s.number("max.message.bytes")
	if !told {
		return
	}
	if slices.Contains(f.Config.Kafka.Topics.Events, topic) {
		n.ok("kafka.message_size", "topic "+topic, "%d; events above max_event_bytes (%d) are dead letters", most, f.Config.MaxEventBytes)
		return
	}
	n.unless(most < producedBytes, Failure, "kafka.message_size", "topic "+topic,
		"Raise its max.message.bytes to 1048588, Kafka's default, or more", "%d, nudged produces up to %d bytes at a time", most, producedBytes)
}

func (n *findings) timestamps(f *Facts, topic string, s *Settings) {
	if !slices.Contains(f.Config.Kafka.Topics.Events, topic) {
		return
	}
	kind := s.Values["message.timestamp.type"]
	kept, told := s.retention()
	subject := "topic " + topic
	if f.Config.Clock == "event" && kind == "CreateTime" && told && kept < forever {
		n.add(Warning, "kafka.timestamps", subject, "For history set message.timestamp.type to LogAppendTime, or retention.ms to -1",
			"%s, clock is event: history whose records carry old timestamps is removed after them, at once if they are older than %s", kind, span(kept))
		return
	}
	whose := "the producers' clocks"
	if kind == "LogAppendTime" {
		whose = "the brokers' clocks"
	}
	n.ok("kafka.timestamps", subject, "%s: event times are held against %s, and may be %v ahead", kind, whose, time.Duration(f.Config.MaxAhead))
}

// retentions judges how far back the topics reach.
func (n *findings) retentions(f *Facts) {
	t := &f.Config.Kafka.Topics
	input := time.Duration(0) // the longest of the inputs
	for _, topic := range t.Events {
		s := f.Kafka.Topics[topic].Settings
		kept, told := s.retention()
		if !told {
			continue
		}
		input = max(input, kept)
		found := "kept " + span(kept)
		need := time.Duration(0)
		if f.Set != nil {
			longest, lasting := memoryOf(f.Set)
			need = time.Duration(longest) * time.Millisecond
			found += fmt.Sprintf(", the rules look back %s", span(need))
			if len(lasting) > 0 {
				found += " (and without bound: " + short(lasting) + ")"
			}
		}
		n.unless(kept < need, Warning, "kafka.retention", "topic "+topic,
			fmt.Sprintf("Raise its retention.ms to %d or more", need.Milliseconds()), "%s", found)
		n.sizeBound(topic, &s)
	}
	for _, topic := range []string{t.Sends, t.Decisions} {
		s := f.Kafka.Topics[topic].Settings
		kept, told := s.retention()
		if !told {
			continue
		}
		ms := input.Milliseconds()
		if input >= forever {
			ms = -1
		}
		n.unless(kept < input, Warning, "kafka.retention", "topic "+topic,
			fmt.Sprintf("Raise its retention.ms to that of the input (%d)", ms), "kept %s, the input %s", span(kept), span(input))
		n.sizeBound(topic, &s)
	}
}

func (n *findings) sizeBound(topic string, s *Settings) {
	if bytes, told := s.number("retention.bytes"); told && bytes >= 0 {
		n.add(Warning, "kafka.retention", "topic "+topic, "Set its retention.bytes to -1, or large enough for its retention.ms",
			"retention.bytes is %d: records may go before their time", bytes)
	}
}

// short names the first few.
func short(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

func (n *findings) partitionCounts(f *Facts) {
	t, most := &f.Config.Kafka.Topics, 0
	for _, topic := range t.Events {
		most = max(most, f.Kafka.Topics[topic].Partitions)
	}
	for _, topic := range []string{t.Sends, t.Decisions} {
		if got := f.Kafka.Topics[topic]; got.Err == nil && most > 0 {
			n.unless(got.Partitions < most, Warning, "kafka.partitions", "topic "+topic,
				"Before the first start: create it with as many as the events have. Later it has to stay as it is: the state is of these numbers",
				"%d partitions, the events have %d", got.Partitions, most)
		}
	}
}
