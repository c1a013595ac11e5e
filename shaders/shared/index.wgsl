// Linear number of this workgroup: more groups than one dimension holds are folded into y.
fn linear_group(group: vec3<u32>, count: vec3<u32>) -> u32 {
    return group.x + group.y * count.x;
}
