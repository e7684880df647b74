package embedded

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
)

// StartKafka starts a Kafka in this process on a free port of the loopback
// interface, with the topics given and their numbers of partitions. It is a
// stand-in for the demo and for fast tests: it keeps everything in memory.
func StartKafka(topics map[string]int32) (addrs []string, stop func(), err error) {
	opts := []kfake.Opt{kfake.NumBrokers(1)}
	for name, partitions := range topics {
		opts = append(opts, kfake.SeedTopics(partitions, name))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("start the embedded Kafka: %w", err)
	}
	return c.ListenAddrs(), c.Close, nil
}
