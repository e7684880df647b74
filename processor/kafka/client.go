package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"
)

// Config says how to reach Kafka and which topics to use.
type Config struct {
	Brokers                       []string
	Group                         string
	Events                        []string // input topics
	Sends, Decisions, DeadLetters string
	// AsOf are numbers of partitions to go by instead of those that topics have, by
	// topic.
	AsOf map[string]int32
	// TransactionalID is unique to the process.
	TransactionalID string
	// TransactionTimeout must be below SessionTimeout: the next owner of a
	// killed process waits for it.
	TransactionTimeout, SessionTimeout time.Duration
	// Options are TLS, SASL and whatever else the configuration asks for.
	Options []kgo.Opt
	Logger  *slog.Logger
}

// common are the options of every client.
func (c *Config) common(role string) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("nudged-" + role),
		// A transaction that begins right after another ends may be told
		// CONCURRENT_TRANSACTIONS; the retry waits for a metadata update.
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.WithLogger(kslog.New(slog.New(told{c.Logger.Handler(), nil}))),
	}
	return append(opts, c.Options...)
}

// Topology is what the topics look like.
type Topology struct {
	ClusterID string
	topicIDs  map[string]string
	counts    map[string]int32
}

// Partitions returns the number of partitions of a topic.
func (t *Topology) Partitions(topic string) int32 { return t.counts[topic] }

// Describe reads the topics. A topic that is missing is an error that says how
// to create it, a right that is missing one that says how to give it.
func Describe(ctx context.Context, c *Config) (*Topology, error) {
	cl, err := kgo.NewClient(c.common("admin")...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	t, err := describe(ctx, cl, c)
	if err != nil {
		return nil, err
	}
	return t, checkRights(ctx, cl, c)
}

func describe(ctx context.Context, cl *kgo.Client, c *Config) (*Topology, error) {
	topics := append(append([]string{}, c.Events...), c.Sends, c.Decisions, c.DeadLetters)
	m, err := kadm.NewClient(cl).Metadata(ctx, topics...)
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return nil, errors.Join(err, checkRights(ctx, cl, c))
	}
	if err != nil {
		return nil, fmt.Errorf("kafka at %s cannot be reached: %w; check kafka.brokers, tls and sasl", strings.Join(c.Brokers, ","), err)
	}
	t := &Topology{ClusterID: m.Cluster, topicIDs: map[string]string{}, counts: map[string]int32{}}
	var problems []error
	for _, name := range topics {
		d, ok := m.Topics[name]
		switch {
		case !ok || d.Err != nil && len(d.Partitions) == 0:
			problems = append(problems, fmt.Errorf("topic %q cannot be used (%w): create it, for example with kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 12",
				name, cmp.Or[error](d.Err, kerr.UnknownTopicOrPartition), c.Brokers[0], name))
		default:
			t.topicIDs[name] = d.ID.String()
			t.counts[name] = int32(len(d.Partitions))
		}
	}
	maps.Copy(t.counts, c.AsOf)
	return t, errors.Join(problems...)
}

// inputID is the identity of an input topic: its id, and the cluster.
func (t *Topology) inputID(topic string) string {
	cluster := t.ClusterID
	if len(cluster) > 8 {
		cluster = cluster[:8]
	}
	return t.topicIDs[topic] + "." + cluster
}
