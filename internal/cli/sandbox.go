// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-charm/signet/internal/sandbox"
)

func (p *program) sandboxCommand() *cobra.Command {
	var charmDir string
	var units int
	command := &cobra.Command{
		Use:   "sandbox",
		Short: "Run signet on an embedded Juju: controller, hooks and relations without a cloud",
		Long: "sandbox starts a Juju controller on a loopback port with signet deployed in it, and prints where it listens. It\n" +
			"runs until it is interrupted; everything it writes goes away with it.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runSandbox(cmd.Context(), charmDir, units) },
	}
	command.PersistentFlags().StringVar(&charmDir, "charm", ".", "folder with signet's metadata.yaml and config.yaml")
	command.Flags().IntVar(&units, "units", 1, "how many units of signet to deploy")
	command.AddCommand(&cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story: two units, consumers of both dialects, a node, a lost leader; check everything",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStage(charmDir, nil, func(s *stage) error { return p.demo(cmd.Context(), s) })
		},
	})
	command.AddCommand(p.shellCommand(&charmDir), p.certificatesCommand())
	return command
}

// withStage gives a stage in a temporary folder. What its agents log is shown to live, unless that is nil.
func (p *program) withStage(charmDir string, live io.Writer, do func(*stage) error) (err error) {
	if charmDir, err = filepath.Abs(charmDir); err != nil {
		return fmt.Errorf("cannot find the charm: %w", err)
	}
	dir, err := os.MkdirTemp("", "signet-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := openStage(charmDir, dir, live, sandbox.Options{ModelName: "sandbox"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return do(s)
}

func (p *program) runSandbox(ctx context.Context, charmDir string, units int) error {
	return p.withStage(charmDir, p.stderr, func(s *stage) error {
		if err := s.deploySignet("signet", nil); err != nil {
			return err
		}
		for range units {
			if _, err := s.addSignetUnit("signet"); err != nil {
				return err
			}
		}
		if err := s.runner.Settle(ctx); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "controller  wss://%s/model/%s/api\n", s.controller.Addr(), s.model().UUID())
		for _, unit := range s.model().Units("signet") {
			status, err := s.model().UnitStatus(unit)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s  %s: %s\n  agent.conf  %s\n", unit, status.Level, status.Message, s.controller.AgentConf(unit))
		}
		return s.runner.Serve(ctx)
	})
}
