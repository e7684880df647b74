package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/nudged/nudged/internal/config"
)

// Kafka's own topics. A question about a group or a transactional id makes Kafka
// make them where they are not there yet, so it is not asked then.
const (
	offsetsTopic      = "__consumer_offsets"
	transactionsTopic = "__transaction_state"
)

// oneAnswer is how long a single broker or node may take to answer.
const oneAnswer = 5 * time.Second

// ClientOptions are what the Kafka client of LookAtKafka needs beside address and
// secrets.
func ClientOptions() []kgo.Opt {
	// From version 6 on DescribeGroups answers for a group that does not exist yet
	// with an error, and does not tell what we might do with it.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion((&kmsg.DescribeGroupsRequest{}).Key(), 5)
	return []kgo.Opt{
		kgo.ClientID("nudged-doctor"), kgo.MaxVersions(versions),
		kgo.DialTimeout(oneAnswer), kgo.RequestRetries(3), kgo.RetryTimeout(2 * oneAnswer),
	}
}

// LookAtKafka gathers what Kafka tells of itself, the topics and the group.
// transactionalID is one that nudged would use. Nothing is changed.
func LookAtKafka(ctx context.Context, cl *kgo.Client, c *config.Config, transactionalID string) *KafkaFacts {
	f := &KafkaFacts{Topics: map[string]Topic{}, Newest: map[string]int64{}}
	if err := f.lookAtSeeds(ctx, cl, c); err != nil {
		f.Err = err
		return f
	}
	if err := f.lookAtTopics(ctx, cl, c); err != nil {
		f.Err = err
		return f
	}
	adm := kadm.NewClient(cl)
	f.lookAtSettings(ctx, adm)
	f.lookAtGroup(ctx, cl, c.Kafka.Group)
	f.lookAtTransactions(ctx, cl, transactionalID)
	f.lookAtNewest(ctx, adm, c.Kafka.Topics.Events)
	return f
}

// lookAtSeeds asks every broker that the configuration names.
func (f *KafkaFacts) lookAtSeeds(ctx context.Context, cl *kgo.Client, c *config.Config) error {
	seeds := cl.SeedBrokers()
	f.Brokers = make([]Broker, len(seeds))
	var wg sync.WaitGroup
	for i, b := range seeds {
		f.Brokers[i] = Broker{Address: string(c.Kafka.Brokers[i]), Seed: true}
		wg.Go(func() { f.Brokers[i].Err = ping(ctx, b) })
	}
	wg.Wait()
	for _, b := range f.Brokers {
		if b.Err == nil {
			return nil
		}
	}
	return errors.New("no broker of kafka.brokers answers")
}

func ping(ctx context.Context, b *kgo.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, oneAnswer)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	_, err := b.Request(ctx, req)
	return err
}

// lookAtTopics reads what there is of the topics, and asks the brokers that the
// cluster names.
func (f *KafkaFacts) lookAtTopics(ctx context.Context, cl *kgo.Client, c *config.Config) error {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for _, name := range append(topicsOf(c), offsetsTopic, transactionsTopic) {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	m, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("the topics cannot be read: %w", err)
	}
	for i := range m.Topics {
		t := &m.Topics[i]
		if t.Topic != nil {
			f.Topics[*t.Topic] = topicOf(t)
		}
	}
	named := make([]Broker, len(m.Brokers))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, b := range m.Brokers {
		named[i] = Broker{Address: fmt.Sprintf("%s:%d", b.Host, b.Port)}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, oneAnswer)
			defer cancel()
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = "nudged-doctor", "1" // it must not be empty
			v, err := req.RequestWith(ctx, cl.Broker(int(b.NodeID)))
			if err == nil {
				err = kerr.ErrorForCode(v.ErrorCode)
			}
			mu.Lock()
			defer mu.Unlock()
			if named[i].Err = err; err == nil {
				f.versions(v)
			}
		})
	}
	wg.Wait()
	// One that both name is shown once.
	for _, b := range named {
		if !slices.ContainsFunc(f.Brokers, func(o Broker) bool { return o.Address == b.Address && o.Err == nil }) || b.Err != nil {
			f.Brokers = append(f.Brokers, b)
		}
	}
	return nil
}

// topicsOf are the topics of the configuration.
func topicsOf(c *config.Config) []string {
	t := &c.Kafka.Topics
	return append(slices.Clone(t.Events), t.Sends, t.Decisions, t.DeadLetters)
}

func topicOf(t *kmsg.MetadataResponseTopic) Topic {
	out := Topic{Err: kerr.ErrorForCode(t.ErrorCode), Partitions: len(t.Partitions), Rights: rights(t.AuthorizedOperations)}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if p.Leader < 0 {
			out.Leaderless = append(out.Leaderless, p.Partition)
		}
		if len(p.ISR) < len(p.Replicas) {
			out.UnderInSync = append(out.UnderInSync, p.Partition)
		}
		if i == 0 || len(p.Replicas) < out.Replicas {
			out.Replicas = len(p.Replicas)
		}
	}
	return out
}

// rights names the operations of a bit field, nil if the broker did not tell them.
func rights(field int32) map[string]bool {
	if field == -1<<31 {
		return nil
	}
	out := map[string]bool{}
	for _, op := range kadm.DecodeACLOperations(field) {
		out[op.String()] = true
	}
	return out
}

// versions notes what the oldest of the brokers can do.
func (f *KafkaFacts) versions(v *kmsg.ApiVersionsResponse) {
	can := kversion.FromApiVersionsResponse(v)
	// TxnOffsetCommit of version 3 carries the member and its generation (KIP-447).
	if n, ok := can.LookupMaxKeyVersion((&kmsg.TxnOffsetCommitRequest{}).Key()); !ok || n < 3 {
		f.Old = true
	}
	f.Guess = can.VersionGuess()
	for _, feature := range v.FinalizedFeatures {
		if f.Features == nil {
			f.Features = map[string]int16{}
		}
		f.Features[feature.Name] = feature.MaxVersionLevel
	}
}

// lookAtSettings reads the settings of the topics that there are, and of a broker.
func (f *KafkaFacts) lookAtSettings(ctx context.Context, adm *kadm.Client) {
	for name, t := range f.Topics {
		if t.Err != nil {
			continue
		}
		got, err := adm.DescribeTopicConfigs(ctx, name)
		t.Settings = settings(got, err)
		f.Topics[name] = t
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil || len(brokers) == 0 {
		f.Settings.Err = fmt.Errorf("no broker could be asked: %w", err)
		return
	}
	got, err := adm.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
	f.Settings = settings(got, err)
}

func settings(got kadm.ResourceConfigs, err error) Settings {
	if err == nil && len(got) != 1 {
		err = errors.New("no answer from Kafka for it")
	}
	if err == nil {
		err = got[0].Err
	}
	if err != nil {
		return Settings{Err: err}
	}
	s := Settings{Values: map[string]string{}}
	for i := range got[0].Configs {
		if c := &got[0].Configs[i]; !c.Sensitive {
			s.Values[c.Key] = c.MaybeValue()
		}
	}
	return s
}

// missing says that Kafka has certainly no such topic.
func (f *KafkaFacts) missing(topic string) bool {
	return errors.Is(f.Topics[topic].Err, kerr.UnknownTopicOrPartition)
}

func (f *KafkaFacts) lookAtGroup(ctx context.Context, cl *kgo.Client, group string) {
	g := &f.Group
	if f.missing(offsetsTopic) {
		return
	}
	g.Asked = true
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	got, err := req.RequestWith(ctx, cl)
	if err == nil && len(got.Groups) != 1 {
		err = errors.New("no answer from Kafka for the group")
	}
	if err == nil {
		err = kerr.ErrorForCode(got.Groups[0].ErrorCode)
	}
	if err != nil {
		g.Err = err
		return
	}
	d := &got.Groups[0]
	g.State, g.Rights, g.Clients = d.State, rights(d.AuthorizedOperations), map[string]int{}
	for i := range d.Members {
		g.Clients[d.Members[i].ClientID]++
	}
}

// lookAtTransactions finds out whether we may write under a transactional id. No
// request only asks that. This one would end a transaction of a producer that does
// not exist, which Kafka refuses in any case: before that because of the rights, if
// those are lacking.
func (f *KafkaFacts) lookAtTransactions(ctx context.Context, cl *kgo.Client, id string) {
	if f.missing(transactionsTopic) {
		return
	}
	f.TxnAsked = true
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, 1<<62, 0, false
	got, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(got.ErrorCode)
	}
	f.TxnErr = err
}

// lookAtNewest reads the highest timestamps of the input topics.
func (f *KafkaFacts) lookAtNewest(ctx context.Context, adm *kadm.Client, topics []string) {
	for _, topic := range topics {
		if f.Topics[topic].Err != nil {
			continue
		}
		got, err := adm.ListMaxTimestampOffsets(ctx, topic)
		if err != nil {
			continue // Kafka before 3.0, or no right to read
		}
		got.Each(func(o kadm.ListedOffset) {
			if o.Err == nil && o.Timestamp > f.Newest[topic] {
				f.Newest[topic] = o.Timestamp
			}
		})
	}
}

// denied says that Kafka refused an answer for want of a right.
func denied(err error) bool {
	for _, e := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// saw is how a settings' error is told.
func (s *Settings) saw() string {
	if denied(s.Err) {
		return "not allowed to see them (DescribeConfigs)"
	}
	return fmt.Sprintf("they cannot be read: %v", s.Err)
}
