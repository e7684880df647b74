package processor

// Outlook is where a claim would find a partition.
type Outlook struct {
	// Standing is one of new, clean, ahead, behind, branch, empty: what the store
	// holds against what Kafka has committed.
	Standing string
	// Position is what Kafka has committed; nil: nothing.
	Position *Position
}

// Foresee tells where a claim of the group would find a partition, by what Kafka
// and the store hold of it (r is nil for nothing); the error is a *StopError where
// it would stop. groups tells who has decided from the partition; it is asked only
// if neither holds anything. Nothing is changed.
func Foresee(group string, input TopicPartition, kafka Inspection, r *Header, groups func() ([]string, error)) (Outlook, error) {
	f := finding{input: input, group: group, id: identity(group, kafka), kafka: kafka, r: r, groups: groups}
	if err := f.readPosition(); err != nil {
		return Outlook{}, err
	}
	stands, err := f.judge()
	return Outlook{stands.String(), f.k}, err
}

func (s standing) String() string {
	return [...]string{"new", "clean", "ahead", "behind", "branch", "empty"}[s]
}
