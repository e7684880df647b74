package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
)

func explainCommand() *cobra.Command {
	var e app.Explain
	var configFile, at, format, ruleFiles string
	c := &cobra.Command{
		Use:   "explain --user USER",
		Short: "Say what is known of a user, and why something was sent or not",
		Long: `Say what is known of a user now, what is pending until when and what would end it, and why each
send did or did not happen. Reads the user's state in Redis and the user's partition of the
decisions topic; changes nothing and claims nothing.

With --at TIME: the decisions up to that time, and what was pending then as far as later
decisions tell.`,
		Example: `  nudged explain --config nudged.yaml --user u1
  nudged explain --config nudged.yaml --user u1 --rule cart_abandoned
  nudged explain --config nudged.yaml --user u1 --at 2026-11-01T09:00:00Z --format json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case e.User == "":
				return usageError{errors.New("--user is needed; see nudged explain --help")}
			case format != "text" && format != "json":
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			}
			var err error
			if e.At, err = moment("--at", at); err != nil {
				return usageError{err}
			}
			e.Config, err = config.Load(configFile, func(name string) (string, bool) {
				if name == "NUDGED_RULES" && ruleFiles != "" {
					return ruleFiles, true
				}
				return os.LookupEnv(name)
			})
			if err != nil {
				return usageError{err}
			}
			e.Now = func() int64 { return time.Now().UnixMilli() }
			var finish func()
			e.OnTotal, e.OnRead, finish = recordProgress("decisions")
			account, err := e.Run(c.Context())
			finish()
			if err != nil {
				return err
			}
			if format == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(account)
			}
			account.Print(c.OutOrStdout())
			return nil
		},
	}
	c.Flags().StringVar(&e.User, "user", "", "id of the user")
	c.Flags().StringVar(&e.Rule, "rule", "", "only this rule")
	c.Flags().StringVar(&at, "at", "", "what was the case at this time: 2026-11-01 (UTC) or 2026-11-01T09:00:00+09:00")
	c.Flags().StringVar(&configFile, "config", "", "configuration file, for kafka, redis and rules")
	c.Flags().StringVar(&ruleFiles, "rules", "", "rule file or folder; overrides the configuration")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}
