package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/nudged/nudged/internal/config"
)

func (n *findings) kafka(f *Facts) {
	k, c := f.Kafka, &f.Config
	for _, b := range k.Brokers {
		subject, do := b.Address, "Check kafka.brokers, kafka.tls and kafka.sasl, and whether the broker runs"
		if !b.Seed {
			do = "Check that the broker runs, and that its advertised.listeners can be reached from here"
		}
		if b.Err != nil {
			n.add(Failure, "kafka.reach", subject, do, "it does not answer: %v", b.Err)
		} else {
			n.ok("kafka.reach", subject, "it answers")
		}
	}
	if k.Err != nil {
		n.add(Failure, "kafka.reach", "", "Check kafka.brokers, kafka.tls and kafka.sasl", "%v; topics, group and state in it are not looked at", k.Err)
		return
	}
	n.kafkaVersion(k)
	n.topics(f)
	n.kafkaRights(k, c)
	n.brokerSettings(k, c)
	n.group(k, c)
	n.newest(f)
}

func (n *findings) kafkaVersion(k *KafkaFacts) {
	txn, told := k.Features["transaction.version"]
	switch {
	case k.Old:
		n.add(Failure, "kafka.version", "", "Use Kafka 2.5 or later, better 4.0", "a broker is older than 2.5 (its requests are of %s)", k.Guess)
	case !told || txn < 2:
		n.add(Warning, "kafka.version", "", "With Kafka 4.0 or later: kafka-features.sh upgrade --feature transaction.version=2",
			"requests are of %s, transaction.version is %d", k.Guess, txn)
	default:
		n.ok("kafka.version", "", "requests are of %s, transaction.version is %d", k.Guess, txn)
	}
}

// needs are the rights that nudged run needs on topics.
func needs(c *config.Config) map[string][]string {
	t, out := &c.Kafka.Topics, map[string][]string{}
	for _, topic := range t.Events {
		out[topic] = []string{"READ"}
	}
	out[t.Sends], out[t.Decisions], out[t.DeadLetters] = []string{"WRITE", "READ"}, []string{"WRITE", "READ"}, []string{"WRITE"}
	return out
}

func (n *findings) kafkaRights(k *KafkaFacts, c *config.Config) {
	const do = "Give it, for example by deploy/kafka/acls.sh: kafka-acls.sh --add --allow-principal User:<name> %s"
	for _, topic := range topicsOf(c) {
		t := k.Topics[topic]
		wanted := needs(c)[topic]
		how := fmt.Sprintf(do, "--topic "+topic+" --operation "+strings.Join(wanted, " --operation "))
		switch {
		case denied(t.Err):
			n.add(Failure, "kafka.rights", "topic "+topic, how, "nothing is allowed, %s is needed", strings.Join(wanted, ", "))
		case t.Err != nil: // told by kafka.topic
		case t.Rights == nil:
			n.add(Unknown, "kafka.rights", "topic "+topic, "", "Kafka does not tell what is allowed")
		default:
			lacks := slices.DeleteFunc(slices.Clone(wanted), func(op string) bool { return t.Rights[op] })
			n.unless(len(lacks) > 0, Failure, "kafka.rights", "topic "+topic, how, "%s", lacking(wanted, lacks))
		}
	}
	g, subject := &k.Group, "group "+c.Kafka.Group
	how := fmt.Sprintf(do, "--group "+c.Kafka.Group+" --operation READ")
	switch {
	case !g.Asked:
		n.add(Unknown, "kafka.rights", subject, "", "not asked: this Kafka has no topic %s yet, and would make it", offsetsTopic)
	case denied(g.Err):
		n.add(Failure, "kafka.rights", subject, how, "nothing is allowed, READ is needed")
	case g.Err != nil, g.Rights == nil:
		n.add(Unknown, "kafka.rights", subject, "", "Kafka does not tell what is allowed")
	default:
		n.unless(!g.Rights["READ"], Failure, "kafka.rights", subject, how, "%s", lacking([]string{"READ"}, lackingOf(g.Rights["READ"], "READ")))
	}
	subject = "transactional ids " + c.Kafka.Group + "-*"
	resource := "--transactional-id " + c.Kafka.Group + "- --resource-pattern-type prefixed"
	if id := c.Kafka.TransactionalID; id != "" {
		subject, resource = "transactional id "+id, "--transactional-id "+id
	}
	how = fmt.Sprintf(do, resource+" --operation WRITE --operation DESCRIBE")
	switch {
	case !k.TxnAsked:
		n.add(Unknown, "kafka.rights", subject, "", "not asked: this Kafka has no topic %s yet, and would make it", transactionsTopic)
	case denied(k.TxnErr):
		n.add(Failure, "kafka.rights", subject, how, "WRITE is not allowed")
	case errors.Is(k.TxnErr, kerr.InvalidProducerIDMapping), k.TxnErr == nil:
		n.ok("kafka.rights", subject, "WRITE is allowed")
	default:
		n.add(Unknown, "kafka.rights", subject, "", "Kafka does not tell: %v", k.TxnErr)
	}
}

func lackingOf(has bool, op string) []string {
	if has {
		return nil
	}
	return []string{op}
}

func lacking(wanted, lacks []string) string {
	if len(lacks) == 0 {
		return strings.Join(wanted, ", ") + " allowed"
	}
	return strings.Join(lacks, ", ") + " not allowed"
}

// brokerSettings judges what holds for all topics and groups.
func (n *findings) brokerSettings(k *KafkaFacts, c *config.Config) {
	s := &k.Settings
	if s.Err != nil {
		do := "To have it told: kafka-acls.sh --add --allow-principal User:<name> --cluster --operation DescribeConfigs"
		n.add(Unknown, "kafka.transactions", "settings of the brokers", do, "%s", s.saw())
		n.add(Unknown, "kafka.offsets", "settings of the brokers", do, "%s", s.saw())
	} else {
		most, told := s.milliseconds("transaction.max.timeout.ms")
		n.unless(told && most < time.Duration(c.Kafka.TransactionTimeout), Failure, "kafka.transactions", "transaction.max.timeout.ms",
			"Lower kafka.transaction_timeout, or raise transaction.max.timeout.ms of the brokers",
			"%v, kafka.transaction_timeout is %v", most, time.Duration(c.Kafka.TransactionTimeout))
		n.offsets(s, c)
	}
	for _, topic := range []string{offsetsTopic, transactionsTopic} {
		t, ok := k.Topics[topic]
		switch {
		case ok && t.Err == nil:
			n.durability(topic, &t, s)
		case k.missing(topic):
			n.add(Unknown, "kafka.durability", "topic "+topic, "", "Kafka makes it when it is first needed")
		default:
			n.add(Unknown, "kafka.durability", "topic "+topic, "", "not allowed to see it")
		}
	}
}

func (n *findings) offsets(s *Settings, c *config.Config) {
	const week = 7 * 24 * 60
	minutes, told := s.number("offsets.retention.minutes")
	n.unless(told && minutes < week, Warning, "kafka.offsets", "offsets.retention.minutes",
		"Raise offsets.retention.minutes of the brokers to a week or more (10080)",
		"%d: so long the offsets of a group without members are kept", minutes)
	shortest, told1 := s.milliseconds("group.min.session.timeout.ms")
	longest, told2 := s.milliseconds("group.max.session.timeout.ms")
	ours := time.Duration(c.Kafka.SessionTimeout)
	n.unless(told1 && ours < shortest || told2 && ours > longest, Failure, "kafka.offsets", "session timeout",
		"Set kafka.session_timeout to what the brokers allow", "kafka.session_timeout is %v, brokers allow %v to %v", ours, shortest, longest)
	metadata, told := s.number("offset.metadata.max.bytes")
	n.unless(told && metadata < metadataBytes, Failure, "kafka.offsets", "offset.metadata.max.bytes",
		"Set offset.metadata.max.bytes of the brokers back to 4096", "%d, nudged writes up to %d", metadata, metadataBytes)
}

// metadataBytes is the most that nudged writes beside a committed offset.
const metadataBytes = 3500

func (n *findings) group(k *KafkaFacts, c *config.Config) {
	g, name := &k.Group, c.Kafka.Group
	switch {
	case !g.Asked:
		n.ok("kafka.group", name, "nobody is in it: this Kafka has never had a group")
		return
	case denied(g.Err):
		n.add(Unknown, "kafka.group", name, "", "not allowed to see it")
		return
	case g.Err != nil:
		n.add(Unknown, "kafka.group", name, "", "%v", g.Err)
		return
	}
	members, strangers := 0, []string{}
	for _, client := range sorted(g.Clients) {
		members += g.Clients[client]
		if !strings.HasPrefix(client, "nudged-group") {
			strangers = append(strangers, fmt.Sprintf("%q", client))
		}
	}
	switch {
	case len(strangers) > 0:
		n.add(Warning, "kafka.group", name, "Give the others a group of their own, or nudged by kafka.group",
			"%s, %d members, among them others than nudged: %s", strings.ToLower(g.State), members, strings.Join(strangers, ", "))
	case members == 0:
		n.ok("kafka.group", name, "nobody is in it: nudged run is not running")
	case g.State != "Stable":
		n.add(Warning, "kafka.group", name, "Ask again: it lasts while processes come and go. If it stays, look into their logs",
			"%d processes, state %s: partitions are being handed out", members, g.State)
	default:
		n.ok("kafka.group", name, "stable, %d processes", members)
	}
}

// clockBlur is how far clocks may be apart before it is worth a word.
const clockBlur = time.Second

func (n *findings) newest(f *Facts) {
	for _, topic := range f.Config.Kafka.Topics.Events {
		if f.Kafka.Topics[topic].Err != nil {
			continue
		}
		newest, told := f.Kafka.Newest[topic]
		if !told || newest <= 0 {
			n.add(Unknown, "clock.kafka", "topic "+topic, "", "it holds no record whose timestamp could be held against this machine's clock")
			continue
		}
		whose := "the producers'"
		if f.Kafka.Topics[topic].Settings.Values["message.timestamp.type"] == "LogAppendTime" {
			whose = "the brokers'"
		}
		ahead := time.UnixMilli(newest).Sub(f.Now)
		switch {
		case ahead > clockBlur:
			n.add(Warning, "clock.kafka", "topic "+topic, "Set the clocks by NTP: this machine's, and "+whose,
				"the newest record is of %v ahead of this machine's clock: that is behind, or %s clock is ahead", ahead.Round(time.Millisecond), whose)
		default:
			n.ok("clock.kafka", "topic "+topic, "the newest record is of %v ago: no clock is seen to be ahead of this machine's", (-ahead).Round(time.Millisecond))
		}
	}
}
