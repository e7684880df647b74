package processor

import (
	"errors"
	"testing"
)

// What is foreseen is what the claim's own judgement says; the rows of its table
// are tested with it.
func TestForesee(t *testing.T) {
	in := TopicPartition{"events", 0}
	counts := Counts{1, 1, 1}
	history := History{{5, 1}}
	k := Position{TopicID: "id.cluster", Offset: 9, Epoch: 5, Claimer: "00000000", Seq: 3, History: history, Last: 3, Counts: counts}
	kafka := Inspection{Committed: true, Offset: 9, Metadata: k.Metadata(), End: 9, TopicID: "id.cluster", Counts: counts}
	r := Header{ID: "g id.cluster 1", Epoch: 5, Seq: 3, History: history, Last: 3, Offset: 9}
	none := func() ([]string, error) { return nil, nil }

	if o, err := Foresee("g", in, kafka, &r, none); err != nil || o.Standing != "clean" || o.Position.Seq != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	behind := r
	behind.Seq, behind.Offset = 2, 5
	if o, err := Foresee("g", in, kafka, &behind, none); err != nil || o.Standing != "behind" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := Foresee("g", in, Inspection{TopicID: "id.cluster", Counts: counts}, nil, none); err != nil || o.Standing != "new" || o.Position != nil {
		t.Errorf("%+v, %v", o, err)
	}
	var stop *StopError
	for name, tc := range map[string]func() (Outlook, error){
		"another group": func() (Outlook, error) { return Foresee("h", in, kafka, &r, none) },
		"moved": func() (Outlook, error) {
			moved := kafka
			moved.Offset = 8
			return Foresee("g", in, moved, &r, none)
		},
		"renamed": func() (Outlook, error) {
			return Foresee("g", in, Inspection{TopicID: "id.cluster", Counts: counts}, nil, func() ([]string, error) { return []string{"h"}, nil })
		},
	} {
		if o, err := tc(); !errors.As(err, &stop) || stop.Wayout == "" {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}
