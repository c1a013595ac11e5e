// Reductions over a workgroup of LANES threads. Every thread must call them, and all get the
// result. The order is fixed, so results repeat. With SUBGROUPS = 1 in front one of them uses subgroups.

var<workgroup> tree_f32: array<f32, LANES>;
var<workgroup> tree_u32: array<u32, LANES>;

fn tree_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    tree_f32[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half = half >> 1u) {
        if (lane < half) {
            tree_f32[lane] = tree_f32[lane] + tree_f32[lane + half];
        }
        workgroupBarrier();
    }
    return tree_f32[0];
}

fn tree_max(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    tree_f32[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half = half >> 1u) {
        if (lane < half) {
            tree_f32[lane] = max(tree_f32[lane], tree_f32[lane + half]);
        }
        workgroupBarrier();
    }
    return tree_f32[0];
}

// when SUBGROUPS = 1
var<workgroup> tree_most: atomic<u32>;

// The order does not matter to a largest value, so subgroups may find theirs first.
fn tree_max_u32(lane: u32, value: u32) -> u32 {
    workgroupBarrier();
    if (lane == 0u) {
        atomicStore(&tree_most, 0u);
    }
    workgroupBarrier();
    let own = subgroupMax(value);
    // The first lane of each subgroup.
    if (subgroupExclusiveAdd(1u) == 0u) {
        atomicMax(&tree_most, own);
    }
    workgroupBarrier();
    return atomicLoad(&tree_most);
}
// else
fn tree_max_u32(lane: u32, value: u32) -> u32 {
    workgroupBarrier();
    tree_u32[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half = half >> 1u) {
        if (lane < half) {
            tree_u32[lane] = max(tree_u32[lane], tree_u32[lane + half]);
        }
        workgroupBarrier();
    }
    return tree_u32[0];
}
// end
