package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"dms/deploy"
	"dms/deploy/keys"

	"github.com/spf13/cobra"
)

func newDev() *cobra.Command {
	var o deploy.DevOptions
	log := deploy.LogOptions{Format: "text"}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole service on this machine, for development",
		Long: `Run three replicas in one process, with an identity provider and two projects to
play with. Data and keys are kept in the data folder. When the service answers, how to
call it is written to dev.env in that folder.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := deploy.NewLogger(log, cmd.ErrOrStderr())
			if err != nil {
				return usage(err.Error())
			}
			d, err := deploy.NewDev(cmd.Context(), o, logger)
			if err != nil {
				return err
			}
			return d.Run(cmd.Context(), func() error {
				if err := d.WriteEnv(); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "dms: ready on %s\n", d.URL())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address of the API; port 0 takes a free one")
	cmd.Flags().StringVar(&o.Admin, "admin", "127.0.0.1:9090", "address of /metrics, /livez and /readyz")
	cmd.Flags().StringVar(&o.Data, "data", ".dms", "folder for data, keys and dev.env")
	cmd.Flags().StringVar(&log.Level, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --config dms.yaml",
		Short: "Run one node of a cluster of three",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usage("--config is missing")
			}
			c, err := deploy.Load(path)
			if err != nil {
				return err
			}
			log, err := deploy.NewLogger(c.Log, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			err = deploy.Run(cmd.Context(), c, log)
			if errors.Is(err, deploy.ErrStuck) && cmd.Context().Err() == nil {
				log.Error("the process starts itself again", "err", err)
				err = errors.Join(err, startAgain())
			}
			return err
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file of this node")
	return cmd
}

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make the keys of a cluster",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var dir string
	initKeys := &cobra.Command{
		Use:   "init --dir keys",
		Short: "Make new keys in a folder; copy it to every node of the cluster",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usage("--dir is missing")
			}
			if err := keys.Init(dir); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "keys are in %s: copy the folder to every node, and keep a copy in a safe place\n", dir)
			return err
		},
	}
	initKeys.Flags().StringVar(&dir, "dir", "", "folder for the keys, made when it is absent")
	cmd.AddCommand(initKeys, newRotate())
	return cmd
}

func newRotate() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "rotate --dir keys sealing|store",
		Short: "Add a newer key for handles and tokens, or for the encryption of new data folders",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("say what is to be rotated: sealing or store")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return usage("--dir is missing")
			}
			id, err := keys.Rotate(dir, keys.Rotated(args[0]))
			if errors.Is(err, keys.ErrNotRotated) {
				return usage(err.Error())
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %d is the newest now: copy the folder to every node, and restart one after the other\n", id)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder with the keys")
	return cmd
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what this binary is made of",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := deploy.Build()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "dms %s (%s, nats-server %s)\n", b.Version, b.Go, b.Storage)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as one JSON object")
	return cmd
}
