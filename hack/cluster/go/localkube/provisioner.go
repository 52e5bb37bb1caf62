package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "armonik.io/local-folder"

// folderProvisioner makes one folder below root for each claim and removes it with the volume.
type folderProvisioner struct{ root, node string }

// Provision answers a claim with a `local` volume: unlike hostPath, the kubelet applies fsGroup to it.
func (p folderProvisioner) Provision(_ context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	folder := filepath.Join(p.root, o.PVName)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(folder, 0o777); err != nil { // whatever the umask: pods of any user write here
		return nil, controller.ProvisioningFinished, err
	}
	onNode := v1.NodeSelectorRequirement{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{p.node}}
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: folder}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{
				{MatchExpressions: []v1.NodeSelectorRequirement{onNode}}}}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the folder, and nothing that is not a direct child of root.
func (p folderProvisioner) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	if volume.Spec.Local == nil || filepath.Dir(volume.Spec.Local.Path) != filepath.Clean(p.root) {
		return fmt.Errorf("volume %s does not lie in %s", volume.Name, p.root)
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}

func newProvisionerCommand() *cobra.Command {
	var kubeconfig, root, node string
	cmd := &cobra.Command{Use: "volume-provisioner", SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
		if kubeconfig == "" || root == "" || node == "" {
			return errors.New("--kubeconfig, --root and --node are required")
		}
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		ctx := server.SetupSignalContext()
		provisioner := folderProvisioner{root: root, node: node}
		controller.NewProvisionController(ctx, client, provisionerName, provisioner,
			controller.LeaderElection(false), controller.MetricsPort(0)).Run(ctx)
		return nil
	}}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the apiserver")
	cmd.Flags().StringVar(&root, "root", "", "folder that holds the volumes")
	cmd.Flags().StringVar(&node, "node", "", "name of the node the volumes live on")
	return cmd
}
