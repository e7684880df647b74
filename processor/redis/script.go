package redis

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

var (
	//go:embed claim.lua
	claimSource string
	//go:embed batch.lua
	batchSource string
	//go:embed wipe.lua
	wipeSource string

	claimScript = newScript(claimSource)
	batchScript = newScript(batchSource)
	wipeScript  = newScript(wipeSource)
)

// script is a Lua script and the name that Redis knows it by.
type script struct{ source, sha string }

func newScript(source string) *script {
	return &script{source: source, sha: goredis.NewScript(source).Hash()}
}

var (
	deniedAt    = regexp.MustCompile(`can't run this command or subcommand script: ([0-9a-f]{40}), on @user_script:(\d+)`)
	calledInLua = regexp.MustCompile(`(redis\.call|write)\('([A-Z]+)'`)
)

// deniedInScript names the command that a user may not run inside a script: Redis 7.0
// tells only the line. Where that says command, it is one of several.
func deniedInScript(reply string) string {
	at := deniedAt.FindStringSubmatch(reply)
	if at == nil {
		return ""
	}
	number, err := strconv.Atoi(at[2])
	for _, sc := range []*script{claimScript, batchScript, wipeScript} {
		lines := strings.Split(sc.source, "\n")
		if sc.sha != at[1] || err != nil || number < 1 || number > len(lines) {
			continue
		}
		if call := calledInLua.FindStringSubmatch(lines[number-1]); call != nil {
			return "'" + strings.ToLower(call[2]) + "'"
		}
		var names []string
		for _, call := range calledInLua.FindAllStringSubmatch(sc.source, -1) {
			if name := "'" + strings.ToLower(call[2]) + "'"; call[1] == "write" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return "one of " + strings.Join(names, ", ")
	}
	return "a command"
}

// scriptHead is how many arguments stand before the first key.
const scriptHead = 3

// call runs a script. The command's arguments are handed to go-redis as they
// are, since those of a batch are many: from the fourth on they are keys, then
// arguments. The first scriptHead are set here.
func call(ctx context.Context, c processer, sc *script, keys int, args []any) (word string, rest []any, err error) {
	args[0], args[1], args[2] = "evalsha", sc.sha, keys
	cmd := goredis.NewCmd(ctx, args...)
	if err := c.Process(ctx, cmd); goredis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = "eval", sc.source
		cmd = goredis.NewCmd(ctx, args...)
		_ = c.Process(ctx, cmd) // the error is the command's, too
	}
	return answer(cmd)
}

// processer is what runs a command: a client, or a connection of its own.
type processer interface {
	Process(ctx context.Context, cmd goredis.Cmder) error
}

// answer reads the reply of a script: a list of which the first element is a
// word.
func answer(cmd *goredis.Cmd) (word string, rest []any, err error) {
	reply, err := cmd.Slice()
	if err != nil {
		return "", nil, err
	}
	if len(reply) > 0 {
		word, _ = reply[0].(string)
	}
	if word == "" {
		return "", nil, fmt.Errorf("unexpected reply of a script: %v", reply)
	}
	return word, reply[1:], nil
}

// text is the i-th element of a reply, "" if there is none.
func text(reply []any, i int) string {
	if i >= len(reply) {
		return ""
	}
	s, _ := reply[i].(string)
	return s
}
