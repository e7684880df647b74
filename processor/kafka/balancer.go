package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// watchedBalancer tells of every change of what this member owns. The session's
// revoke callback does not suffice: after a first revocation it is not called
// again until the next transaction has ended.
type watchedBalancer struct {
	kgo.GroupBalancer
	// only is called with all that this member still owns, before a join, and
	// with all that it was given, after a sync: nothing else is owned any more.
	only func(map[string][]int32)
}

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *watchedBalancer) JoinGroupMetadata(interests []string, current map[string][]int32, generation int32) []byte {
	b.only(current)
	return b.GroupBalancer.JoinGroupMetadata(interests, current, generation)
}

// ParseSyncAssignment implements kgo.GroupBalancer.
func (b *watchedBalancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	given, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err == nil {
		b.only(given)
	}
	return given, err
}
