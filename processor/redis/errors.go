package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// Error is a call that Redis did not answer, refused, or answered with something
// that cannot be. It says nothing about whether a write was applied: the
// identical call is to be repeated, until it gets an answer. ErrFenced, ErrLost
// and ErrIdentity are never inside one.
type Error struct {
	Op        string // what was asked for: claim, write, ...
	Partition processor.TopicPartition
	Keys      string // what all keys of the partition begin with
	Address   string // of Redis
	Err       error

	permanent bool
	wayout    string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("redis %s: %s of partition %s (keys %s*): %v", e.Address, e.Op, e.Partition, e.Keys, e.Err)
	if e.wayout != "" {
		text += ". " + e.wayout
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary tells whether repeating the call can help without anybody changing
// Redis, its settings or ours. Where that is unknown it is true.
func (e *Error) Temporary() bool { return !e.permanent }

// damage is something stored that was not written by a Store.
type damage struct{ error }

func (d *damage) Unwrap() error { return d.error }

// replies are the error replies that are known, by how they begin.
var replies = []struct {
	begin     string
	permanent bool
	wayout    string
}{
	{"LOADING", false, ""},
	{"MASTERDOWN", false, ""},
	{"CLUSTERDOWN", false, ""},
	{"TRYAGAIN", false, ""},
	{"MOVED", false, ""},
	{"ASK", false, ""},
	{"BUSY", false, ""},
	{"UNBLOCKED", false, ""},
	{"READONLY", false, "This is a replica: if it stays one, give the address of the master, or of Sentinel with the master's name"},
	{"NOREPLICAS", false, "Bring back replicas, or lower min-replicas-to-write"},
	{"OOM", false, "Redis has reached maxmemory: raise it (CONFIG SET maxmemory), or give it more memory"},
	{"MISCONF", false, "Redis cannot write to its disk: see its log, and the space left on the disk of its dir"},
	{"ERR max number of clients", false, "Raise maxclients of Redis, or lower the pool size"},
	{"NOAUTH", true, "Set the user name and the password of Redis"},
	{"WRONGPASS", true, "Correct the user name or the password of Redis"},
	{"NOPERM", true, noRight},
	{"WRONGTYPE", true, "A key of the partition was changed by hand or by another program: restore a backup of Redis, or remove all keys that begin as above, so that they are rebuilt from the topics"},
	{"CROSSSLOT", true, "The keys of a partition must lie in one slot of the Cluster: use a group name without braces"},
	{"ERR ACL failure in script", true, noRight},
	{"ERR unknown command", true, "Redis 7 or newer is needed, with the scripting commands not renamed"},
	{"ERR Protocol error", true, "The batch is larger than Redis takes: lower the bounds of a batch, or raise proto-max-bulk-len"},
}

const noRight = "Give the Redis user what it lacks: ACL SETUSER <name> +<command>, and the keys ~nudged:{*}:*; deploy/redis/users.acl has all that nudged needs"

// failure wraps what a call failed with.
func (s *Store) failure(op string, p *partition, err error) error {
	e := &Error{Op: op, Partition: p.input, Keys: p.prefix, Address: s.address, Err: err}
	e.permanent, e.wayout = classify(err)
	return e
}

func classify(err error) (permanent bool, wayout string) {
	var d *damage
	if errors.As(err, &d) {
		return true, "It was changed by hand or by another program: restore a backup of Redis, or remove all keys that begin as above, so that they are rebuilt from the topics"
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return false, "Redis' certificate is not trusted: check redis.tls, ca_file and server_name"
	}
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return false, ""
	}
	text := reply.Error()
	if commands := deniedInScript(text); commands != "" {
		return true, "The script may not call " + commands + ". " + noRight
	}
	for _, r := range replies {
		// What fails inside a script or a transaction may be quoted by its own error.
		quoted := strings.HasPrefix(text, "ERR Error") || strings.HasPrefix(text, "EXECABORT")
		if strings.HasPrefix(text, r.begin) || quoted && strings.Contains(text, r.begin+" ") {
			return r.permanent, r.wayout
		}
	}
	// A script's own failure stays: what is stored is not what it expects.
	if strings.Contains(text, "user_script") {
		return true, "What is stored is not what nudged writes: restore a backup of Redis, or remove all keys that begin as above, so that they are rebuilt from the topics"
	}
	return false, ""
}

// refusal says that Redis answered, and refused: why is ErrFenced, ErrLost or
// ErrIdentity.
func (s *Store) refusal(op string, p *partition, why error, format string, args ...any) error {
	return fmt.Errorf("redis %s: %s of partition %s (keys %s*): %w: %s",
		s.address, op, p.input, p.prefix, why, fmt.Sprintf(format, args...))
}

// refused turns the refusals that all fenced scripts share into errors.
func (s *Store) refused(op string, p *partition, word string, rest []any, epoch, version int64) error {
	switch word {
	case "fenced":
		return s.refusal(op, p, processor.ErrFenced, "the header holds epoch %s, the call has %d", text(rest, 0), epoch)
	case "lost":
		switch {
		case len(rest) == 0:
			return s.refusal(op, p, processor.ErrLost, "there is no header")
		case len(rest) > 1:
			return s.refusal(op, p, processor.ErrLost, "the partition is being emptied")
		}
		return s.refusal(op, p, processor.ErrLost, "the header holds version %s of epoch %d, the call has version %d", text(rest, 0), epoch, version)
	}
	return s.failure(op, p, fmt.Errorf("unexpected reply %q of a script", word))
}
