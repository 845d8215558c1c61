// SPDX-License-Identifier: AGPL-3.0-only

// Package doctor gathers what package diagnosis judges: how a unit's agent, folder, machine, controller and neighbours are. It
// reads and asks only, each question bounded in time, and all of them side by side. Where to look next: network.go for what
// it asks of others, then package view/diagnosis for what is made of it.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signet-charm/signet/internal/agent"
	"github.com/signet-charm/signet/internal/archive"
	"github.com/signet-charm/signet/internal/ca"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/view"
	"github.com/signet-charm/signet/internal/view/diagnosis"
)

// Place is where a unit's things are.
type Place struct {
	Unit      string
	State     string   // the state folder
	Socket    string   // the agent's
	Backups   string   // their folder
	AgentConf string   // empty where it is not known
	Machine   string   // what takes the place of the machine's root folder; empty for that itself
	Service   string   // the agent's, as systemd calls it
	Dial      []string // addresses host:port to be looked at besides this machine's own
}

// limit bounds all of it; what is not known by then stays unknown.
const limit = 20 * time.Second

// Gather finds out how a unit is. The view is the agent's where it answered, with no trouble then; version and FIPS are this
// program's.
func Gather(ctx context.Context, at Place, seen view.View, trouble error, now func() time.Time) diagnosis.Facts {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	facts := diagnosis.Facts{Now: now(), Unit: at.Unit, View: seen}
	g := gatherer{at: at, facts: &facts, now: now}
	g.agent(trouble)
	var all sync.WaitGroup
	for _, look := range []func(context.Context){g.folder, g.record, g.controllers, g.listening} { // each fills facts of its own
		all.Go(func() { look(ctx) })
	}
	all.Wait()
	g.served(ctx) // needs to know what lies on the disk
	return facts
}

// gatherer fills facts.
type gatherer struct {
	at    Place
	facts *diagnosis.Facts
	now   func() time.Time
}

func (g *gatherer) agent(trouble error) {
	found := diagnosis.Agent{Answers: !errors.Is(trouble, agent.ErrNoAgent), Wanted: agent.SystemdRuns(), Service: g.at.Service, Socket: g.at.Socket}
	if trouble != nil {
		found.Trouble = trouble.Error()
	}
	if info, err := os.Lstat(g.at.Socket); err == nil {
		found.Mode = fmt.Sprintf("%04o", info.Mode().Perm())
	}
	g.facts.Agent = found
}

// folder looks at the state folder, and at what was laid elsewhere on the machine.
func (g *gatherer) folder(ctx context.Context) {
	f := &g.facts.Folder
	f.Root = g.at.State
	if space, err := disk.SpaceAt(g.at.State); err == nil {
		f.Free, f.Size, f.FreeNodes, f.Nodes = space.Free, space.Size, space.FreeInodes, space.SizeInodes
	}
	standing, err := disk.Examine(g.at.State, disk.OnMachine(g.at.Machine))
	if err != nil {
		f.Trouble = err.Error()
		return
	}
	f.Loose, f.Foreign, f.Left = standing.Loose, standing.Foreign, lefts(standing.Left)
	if kept, err := disk.Blobs(g.at.State, ca.IsKept); err == nil {
		f.Kept = lefts(kept)
	}
	for _, one := range standing.Laid {
		g.facts.Certificate = append(g.facts.Certificate, diagnosis.Laid{
			Path: one.Path, PEM: one.PEM, CA: one.CA, Key: one.Key, Mode: uint32(one.Mode.Perm()), Owner: ownerName(one.Owner),
			OpenSSL: openSSL(ctx, one),
		})
	}
	for _, one := range standing.Links {
		g.facts.Links = append(g.facts.Links, diagnosis.Outside(one))
	}
	for _, one := range standing.Trust {
		g.facts.Trust = append(g.facts.Trust, diagnosis.Outside(one))
	}
	const store, mostStore = "/etc/ssl/certs/ca-certificates.crt", 16 << 20
	path := filepath.Join("/", g.at.Machine, store)
	if info, err := os.Stat(path); err == nil && info.Size() < mostStore && len(standing.Trust) > 0 {
		text, _ := os.ReadFile(path) // unreadable: nothing is trusted
		g.facts.Store = string(text)
	}
	g.backups()
}

func lefts(found []disk.Left) []diagnosis.Left {
	var all []diagnosis.Left
	for _, one := range found {
		all = append(all, diagnosis.Left(one))
	}
	return all
}

func ownerName(owner disk.Owner) string {
	name, group := strconv.Itoa(owner.UID), strconv.Itoa(owner.GID)
	if found, err := user.LookupId(name); err == nil {
		name = found.Username
	}
	if found, err := user.LookupGroupId(group); err == nil {
		group = found.Name
	}
	return name + ":" + group
}

// openSSL asks openssl(1), where it is installed, whether a certificate verifies; no key is near it.
func openSSL(ctx context.Context, one disk.Laid) string {
	program, err := exec.LookPath("openssl")
	if err != nil || one.CA == "" {
		return ""
	}
	trust := filepath.Join(filepath.Dir(one.Path), "ca.crt")
	output, err := exec.CommandContext(ctx, program, "verify", "-x509_strict", "-CAfile", trust, "-untrusted", one.Path, one.Path).CombinedOutput() //nolint:gosec // a fixed program, and paths of this unit
	if err == nil || ctx.Err() != nil {
		return ""
	}
	const most = 200
	text := strings.Join(strings.Fields(string(output)), " ")
	return text[:min(len(text), most)]
}

func (g *gatherer) backups() {
	files, err := archive.List(g.at.Backups)
	if err != nil {
		g.facts.Backups.Trouble = err.Error()
		return
	}
	g.facts.Backups.Number = len(files)
	if len(files) > 0 {
		g.facts.Backups.Newest = files[len(files)-1].Made
	}
}

func (g *gatherer) record(context.Context) {
	path := disk.JournalPath(g.at.State)
	r := &g.facts.Record
	r.Path = path
	found, err := disk.VerifyJournal(path, disk.Evidence{})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Absent = true
	case err != nil:
		r.Trouble = err.Error()
	default:
		r.Problems, r.Last, r.Entries = found.Problems, found.Last, found.Recorded
	}
}
