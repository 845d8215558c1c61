// SPDX-License-Identifier: AGPL-3.0-only

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// demo tells signet's main job as a story in acts, and fails unless every certificate verifies at its end.
func (p *program) demo(ctx context.Context, s *stage) error {
	d := &demonstration{program: p, stage: s, began: time.Now(), quick: newRequestConsumer()}
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"signet is deployed with two units; each has an agent on one TLS websocket", d.deploy},
		{"etcd, kubernetes-control-plane and kubernetes-worker ask in the legacy dialect", d.relateLegacy},
		{"a charm with the v4 library sends signing requests; its keys stay at home", d.relateRequests},
		{"signet-node is the consumer on a machine with a kubelet, and lays what that needs on its disk", d.relateNode},
		{"the leader is killed; the other unit takes over and a worker joins", d.loseLeader},
		{"everybody's certificates are checked", d.check},
		{"the CA is replaced by a new one, and at every step everybody verifies everybody", d.replaceCA},
	} {
		fmt.Fprintf(p.stdout, "\n%5.1fs  %s\n", time.Since(d.began).Seconds(), act.title)
		bounded, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the act took too long"))
		err := act.play(bounded)
		cancel()
		if err != nil {
			d.explain()
			return err
		}
	}
	fmt.Fprintf(p.stdout, "\n%5.1fs  all verified\n", time.Since(d.began).Seconds())
	return nil
}

// demonstration is the story's state between acts.
type demonstration struct {
	*program
	stage *stage
	began time.Time
	quick *requestConsumer
	leafs map[string]string // by owner and kind, before the leader was lost
}

func (d *demonstration) say(format string, args ...any) {
	fmt.Fprintf(d.stdout, "        "+format+"\n", args...)
}

func (d *demonstration) deploy(ctx context.Context) error {
	if err := d.stage.deploySignet("signet", nil); err != nil {
		return err
	}
	for range 2 {
		unit, err := d.stage.addSignetUnit("signet")
		if err != nil {
			return err
		}
		if err := d.stage.startAgent(ctx, unit); err != nil {
			return err
		}
	}
	return d.settle(ctx, "signet")
}

func (d *demonstration) relateLegacy(ctx context.Context) error {
	for _, consumer := range []struct {
		app, endpoint string
		actor         actor
		units         int
	}{
		{"etcd", "client", etcd(), 3}, // the endpoint's name in bundles written for EasyRSA
		{"kubernetes-control-plane", "certificates", kubernetesControlPlane(), 2},
		{"kubernetes-worker", "certificates", kubernetesWorker(), 2},
	} {
		if err := d.stage.addActor(consumer.app, consumer.actor, consumer.units); err != nil {
			return err
		}
		if _, err := d.stage.model().Integrate("signet:"+consumer.endpoint, consumer.app+":certificates"); err != nil {
			return err
		}
	}
	return d.settle(ctx, "signet")
}

func (d *demonstration) relateRequests(ctx context.Context) error {
	if err := d.stage.addActor("k8s", d.quick, 2); err != nil {
		return err
	}
	if _, err := d.stage.model().Integrate("signet:certificates", "k8s:certificates"); err != nil {
		return err
	}
	return d.settle(ctx, "signet")
}

func (d *demonstration) relateNode(ctx context.Context) error {
	if err := d.stage.deploySignet(nodeCharm, map[string]any{
		"extra_sans": "node.example.com 10.20.30.40", "node-name": "node1", "kubernetes-server": "https://10.100.3.2:6443",
		"links": "kubelet.conf=/etc/kubernetes/kubelet.conf.d/90-signet.conf",
	}); err != nil {
		return err
	}
	unit, err := d.stage.addSignetUnit(nodeCharm)
	if err != nil {
		return err
	}
	for _, endpoints := range [][2]string{
		{"signet:certificates", nodeCharm + ":certificates"}, {"signet:send-ca-cert", nodeCharm + ":receive-ca-cert"},
	} {
		if _, err := d.stage.model().Integrate(endpoints[0], endpoints[1]); err != nil {
			return err
		}
	}
	if err := d.settle(ctx, "signet", nodeCharm); err != nil {
		return err
	}
	for _, folder := range []string{
		filepath.Join(d.stage.stateDir(unit), "files", "certificates") + "/", // the slash follows the bundle's link
		filepath.Join(d.stage.machineRoot(unit), "etc/kubernetes/kubelet.conf.d"),
		filepath.Join(d.stage.machineRoot(unit), "usr/local/share/ca-certificates"),
	} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		var names []string
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), ".") {
				names = append(names, entry.Name())
			}
		}
		d.say("  %s: %s", filepath.Base(folder), strings.Join(names, " "))
	}
	return nil
}

func (d *demonstration) loseLeader(ctx context.Context) error {
	d.leafs = map[string]string{}
	for _, h := range d.holdings() {
		d.leafs[h.owner+" "+h.kind] = h.leaf
	}
	leader := d.stage.model().Leader("signet")
	d.stage.killAgent(leader)
	d.stage.runner.Detach(leader)
	d.say("%s is gone", leader)
	if err := d.stage.model().RemoveUnit(leader); err != nil {
		return err
	}
	if err := d.stage.addActorUnit("kubernetes-worker", kubernetesWorker()); err != nil {
		return err
	}
	return d.settle(ctx, "signet", nodeCharm)
}

// check prints the table, and compares with what was there before the leader was lost: nobody's certificate may have
// changed.
func (d *demonstration) check(ctx context.Context) error {
	holdings := d.holdings()
	fmt.Fprintln(d.stdout)
	faulty, err := printInventory(ctx, d.stdout, holdings, installedJudges())
	if err != nil {
		return err
	}
	fmt.Fprintln(d.stdout)
	if faulty > 0 {
		return fmt.Errorf("%d of %d certificates do not verify", faulty, len(holdings))
	}
	changed := slices.DeleteFunc(slices.Clone(holdings), func(h holding) bool {
		before, known := d.leafs[h.owner+" "+h.kind]
		return !known || before == h.leaf
	})
	if len(changed) > 0 {
		return fmt.Errorf("the certificate of %s was issued again although only the leader changed", changed[0].owner)
	}
	d.say("%d certificates; %d from before the leader was lost, none of them issued again", len(holdings), len(d.leafs))
	return nil
}

// replaceCA rolls the CA over: the next one is trusted first, then it signs, then the old one is withdrawn. Nobody waits for
// a day here, nor for one unit after the other.
func (d *demonstration) replaceCA(ctx context.Context) error {
	if err := d.stage.model().SetConfig("signet", map[string]any{"renewal-interval": "0", "renewals-per-hour": 1000}); err != nil {
		return err
	}
	for _, step := range []string{"start", "advance", "advance"} {
		leader := d.stage.model().Leader("signet")
		result, err := d.stage.runner.RunAction(ctx, leader, "rotate-ca", map[string]any{"step": step})
		if err == nil && result.Status != "completed" {
			err = errors.New(result.Message)
		}
		if err != nil {
			return fmt.Errorf("cannot run rotate-ca step=%s: %w", step, err)
		}
		d.say("juju run %s rotate-ca step=%s", leader, step)
		if err := d.settle(ctx, "signet"); err != nil {
			return err
		}
	}
	for _, h := range d.holdings() {
		if d.leafs[h.owner+" "+h.kind] == h.leaf {
			return fmt.Errorf("the certificate of %s is still the old CA's", h.owner)
		}
	}
	faulty, err := printInventory(ctx, io.Discard, d.holdings(), installedJudges())
	if err == nil && faulty > 0 {
		err = fmt.Errorf("%d certificates do not verify", faulty)
	}
	return err
}

// holdings are everybody's certificates, those on the node's disk included.
func (d *demonstration) holdings() []holding {
	holdings := d.stage.inventory()
	for _, unit := range d.stage.model().Units(nodeCharm) {
		holdings = append(holdings, installed(unit, filepath.Join(d.stage.stateDir(unit), "files", "certificates"))...)
	}
	return holdings
}

// settle waits until every certificate that is asked for is there and verifies, and shows how the units are.
func (d *demonstration) settle(ctx context.Context, apps ...string) error {
	err := d.stage.settle(ctx, func() error {
		for _, h := range d.holdings() {
			if _, err := h.verify(); err != nil {
				return fmt.Errorf("%s, %s certificate: %w", h.owner, h.kind, err)
			}
		}
		for _, app := range apps {
			for _, unit := range d.stage.model().Units(app) {
				if status, err := d.stage.model().UnitStatus(unit); err != nil || status.Level != "active" {
					return fmt.Errorf("%s is %s: %s", unit, status.Level, status.Message)
				}
			}
		}
		return nil
	})
	for _, app := range apps {
		for _, unit := range d.stage.model().Units(app) {
			status, statusErr := d.stage.model().UnitStatus(unit)
			if statusErr == nil {
				d.say("%-13s %s: %s", unit, status.Level, status.Message)
			}
		}
	}
	return err
}

// explain shows the end of the model's log, and what the agents logged, when an act failed.
func (d *demonstration) explain() {
	fmt.Fprint(d.stderr, d.stage.log)
	log := d.stage.runner.Log()
	for _, line := range log[max(0, len(log)-15):] {
		fmt.Fprintf(d.stderr, "%s %s: %s\n", line.Unit, strings.ToLower(line.Level), line.Message)
	}
}
