//go:build !chaos

package app

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/processor"
)

// interpose does nothing. Built with the tag chaos, the daemon can be told to die
// at a step of the protocol, and to read a wrong clock.
func interpose(*processor.Config) {}

// interposeKafka does nothing, see interpose.
func interposeKafka() []kgo.Opt { return nil }
