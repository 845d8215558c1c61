// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/sandbox"
)

// runAction runs an action on a unit and prints its results; numbers and flags are typed as Juju types them.
func (s *story) runAction(ctx context.Context, w *bytes.Buffer, args []string) error {
	params := map[string]any{}
	for _, pair := range args[2:] {
		name, value, _ := strings.Cut(pair, "=")
		params[name] = value
		if number, err := strconv.Atoi(value); err == nil && strings.HasPrefix(name, "relation") {
			params[name] = number
		} else if value == "true" || value == "false" {
			params[name] = value == "true"
		}
	}
	result, err := s.stage.runner.RunAction(ctx, args[0], args[1], params)
	if err != nil {
		return err
	}
	fmt.Fprintln(&s.told, result.Results, result.Message)
	for _, line := range result.Log {
		fmt.Fprintf(w, "log: %s\n", line)
	}
	for _, key := range slices.Sorted(maps.Keys(result.Results)) {
		if key != "return-code" && key != "stderr" {
			fmt.Fprintf(w, "%s: %s\n", key, strings.TrimRight(fmt.Sprint(result.Results[key]), "\n"))
		}
	}
	if result.Status != "completed" {
		return errors.New(result.Message)
	}
	return nil
}

// output runs an action and prints one of its results alone.
func (s *story) output(ctx context.Context, w *bytes.Buffer, args []string) error {
	result, err := s.stage.runner.RunAction(ctx, args[0], args[1], nil)
	if err == nil && result.Status != "completed" {
		err = errors.New(result.Message)
	}
	fmt.Fprintln(&s.told, result.Results)
	fmt.Fprintln(w, result.Results[args[2]])
	return err
}

// bring copies a file or a folder of the story's to a unit's machine.
func (s *story) bring(_ context.Context, _ *bytes.Buffer, args []string) error {
	from, to := filepath.Join(s.work, args[1]), filepath.Join(s.stage.machineRoot(args[0]), args[2])
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o600))
}

// fetch copies a file from a unit's machine, its charm's folder ("charm:…") or its state ("state:…"), into the story's files.
func (s *story) fetch(_ context.Context, _ *bytes.Buffer, args []string) error {
	path := args[1]
	if inCharm, found := strings.CutPrefix(path, "charm:"); found {
		path = filepath.Join(s.stage.unitCharmDir(args[0]), inCharm)
	} else if inState, found := strings.CutPrefix(path, "state:"); found {
		path = filepath.Join(s.stage.stateDir(args[0]), inState)
	} else {
		path = filepath.Join(s.stage.machineRoot(args[0]), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.work, args[2]), data, 0o600)
}

// remains deploys what the EasyRSA charm left in a recording: the application "easyrsa" with its leader settings and,
// unless the story says that its machine is another one, its PKI folder; related to "requirer", with what both had
// published.
func (s *story) remains(_ context.Context, _ *bytes.Buffer, args []string) error {
	folder := filepath.Join(s.stage.charmDir, "testdata", "wire", "easyrsa-takeover")
	model := s.stage.model()
	easyRSA := sandbox.CharmMeta{Name: "easyrsa", Endpoints: []juju.Endpoint{{Name: "client", Interface: tlsInterface, Role: juju.Provides}}}
	err := errors.Join(model.Deploy("easyrsa", easyRSA), model.Deploy("requirer", plainActor{}.meta("requirer")),
		s.stage.addActorUnit("easyrsa", plainActor{}), s.stage.addActorUnit("requirer", plainActor{}))
	if err != nil {
		return err
	}
	id, err := model.Integrate("easyrsa:client", "requirer:"+certificatesEndpoint)
	if err != nil {
		return err
	}
	var states []struct {
		Units map[string]map[string]string `json:"unit_databags"`
	}
	var settings map[string]string
	if err := errors.Join(readJSON(filepath.Join(folder, "databags.json"), &states),
		readJSON(filepath.Join(folder, "leader-settings.json"), &settings)); err != nil {
		return err
	}
	for unit, recorded := range map[string]string{"easyrsa/0": "provider/0", "requirer/0": "requirer/0"} {
		bag := states[0].Units[recorded]
		for _, ours := range []string{"egress-subnets", "ingress-address", "private-address"} {
			delete(bag, ours)
		}
		err = errors.Join(err, model.Commit(unit, sandbox.Commit{Relations: []sandbox.BagChange{{RelationID: id, Unit: bag}}}))
	}
	if err != nil {
		return err
	}
	if err := errors.Join(model.SetLeader("easyrsa/0"), model.SetLeaderSettings("easyrsa/0", settings)); err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "elsewhere" {
		return nil
	}
	return unpack(filepath.Join(folder, "pki.tar.gz"), filepath.Join(s.stage.unitCharmDir("easyrsa/0"), "EasyRSA"))
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// unpack unpacks a tarball of this repository's own.
func unpack(path, dir string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	for reader := tar.NewReader(plain); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		target := filepath.Join(dir, header.Name)
		if header.FileInfo().IsDir() {
			err = os.MkdirAll(target, 0o700)
		} else {
			var data []byte
			if data, err = io.ReadAll(reader); err == nil {
				err = os.WriteFile(target, data, fs.FileMode(header.Mode)&0o777)
			}
		}
		if err != nil {
			return err
		}
	}
}

// refresh makes a signet of an application, whatever charm it was.
func (s *story) refresh(_ context.Context, _ *bytes.Buffer, args []string) error {
	s.refreshed[args[0]] = true
	return s.stage.refresh(args[0])
}

// freePort puts a port of the loopback address that nobody uses into an environment variable.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := listener.Addr().String()
	ts.Check(listener.Close())
	ts.Setenv(args[0], address[strings.LastIndex(address, ":")+1:])
}

// setOutput puts what the last command printed into an environment variable.
func setOutput(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// knowing has everybody's certificates verified by who trusts only what a file holds: all of them by Go, and by the other
// programs one of those that differ in nothing but whose they are.
func (s *story) knowing(ctx context.Context, w *bytes.Buffer, args []string) error {
	for _, arg := range args {
		trust, err := s.certificatesIn(arg)
		if err != nil {
			return err
		}
		var representatives []holding
		seen := map[string]bool{}
		holdings := s.holdings()
		if len(holdings) == 0 {
			return errors.New("nobody holds anything")
		}
		for _, h := range holdings {
			h.trust = trust
			leaf, err := h.verify()
			if err != nil {
				return fmt.Errorf("who trusts %s only does not trust %s, %s: %w", arg, h.owner, h.kind, err)
			}
			alike := fmt.Sprint(juju.ApplicationOf(h.owner), h.kind, leaf.Issuer, leaf.AuthorityKeyId, h.chain)
			if !seen[alike] {
				representatives = append(representatives, h)
			}
			seen[alike] = true
		}
		faulty, err := printInventory(ctx, w, representatives, installedJudges())
		if err != nil || faulty > 0 {
			return fmt.Errorf("who trusts %s only: %d certificates do not verify: %w\n%s", arg, faulty, err, w)
		}
	}
	return nil
}

// certificatesIn gives the certificates of a file, or with "#n" the n-th of them alone.
func (s *story) certificatesIn(arg string) (string, error) {
	name, number, one := strings.Cut(arg, "#")
	text, err := os.ReadFile(filepath.Join(s.work, name))
	if err != nil || !one {
		return string(text), err
	}
	certificates, err := cert.ParseCertificates(string(text))
	n, _ := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(certificates) {
		return "", fmt.Errorf("%s has no certificate %s", name, number)
	}
	return cert.EncodeCertificates(certificates[n-1]), nil
}
