package doctor

import (
	"time"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/rules"
)

// Facts are what Diagnose judges.
type Facts struct {
	Config    config.Config
	ConfigErr error // Kafka and Redis are nil then
	Set       *rules.Set
	RulesErr  error
	Kafka     *KafkaFacts
	Redis     *RedisFacts
	Now       time.Time
}

// KafkaFacts are what Kafka tells.
type KafkaFacts struct {
	Err      error // why nothing else is known
	Brokers  []Broker
	Features map[string]int16 // finalized features; nil: brokers tell none
	Guess    string           // the version that the brokers' requests are of
	Old      bool             // below what nudged needs
	Topics   map[string]Topic // those of the configuration and Kafka's own two
	Settings Settings         // of the brokers, of the first that tells
	Group    Group
	TxnErr   error // of a request that only who may write under our transactional ids gets through
	TxnAsked bool
	Newest   map[string]int64 // the highest record timestamp of an input topic, ms
	// Partitions are those of the input topics; StateErr is why nothing is known of
	// them.
	Partitions []Partition
	StateErr   error
}

// Broker is one address of Kafka, or of Redis.
type Broker struct {
	Address string
	Seed    bool // named in the configuration; else one that the cluster names
	Err     error
}

// Settings are what DescribeConfigs tells. Err is why it tells nothing.
type Settings struct {
	Values map[string]string
	Err    error
}

// Topic is a topic. Err is why it cannot be used.
type Topic struct {
	Err         error
	Partitions  int
	Leaderless  []int32
	Replicas    int // of the partition that has the fewest
	UnderInSync []int32
	// Rights are what we may do, nil if Kafka does not tell.
	Rights   map[string]bool
	Settings Settings
}

// Group is the consumer group.
type Group struct {
	Err     error
	Asked   bool // not where the answer would make Kafka make its own topics
	State   string
	Rights  map[string]bool // nil if Kafka does not tell
	Clients map[string]int  // members by client id
}

// Partition is an input partition, in Kafka and in Redis.
type Partition struct {
	Input  processor.TopicPartition
	Kafka  processor.Inspection
	Header *processor.Header // nil: nothing stored
	Err    error             // reading the header
	// Others are groups that have lately decided from it, as the send and decision
	// topics say; looked for only where neither Kafka nor Redis holds anything.
	Others []string
	// OthersErr is why they could not be looked for.
	OthersErr error
}

// RedisFacts are what Redis tells.
type RedisFacts struct {
	Err       error    // why no node is known
	Addresses []Broker // of the configuration: whether they take a connection
	Nodes     []Node
	// Stored are the partitions, of whatever group, that Redis holds a state of;
	// ScanCut says that there are too many keys to look at all.
	Stored  []Stored
	ScanCut bool
	ScanErr error
}

// Stored is a partition whose header lies in Redis.
type Stored struct {
	Group string
	Input processor.TopicPartition
}

// Node is a Redis that holds states: the one, the master behind Sentinel, or a
// master of a Cluster.
type Node struct {
	Address   string
	Err       error
	Info      map[string]string
	InfoErr   error
	Settings  Settings
	Skew      time.Duration // of its clock to ours, give or take Blur
	Blur      time.Duration
	SkewErr   error
	Denied    []redis.Denied
	DeniedErr error
}
