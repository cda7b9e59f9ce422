/* tensor/directory.c - see directory.h. */
#include "tensor/directory.h"

int krs_tensor_name_order(krs_str a, krs_str b)
{
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

const krs_tensor *krs_tensor_dir_find(const krs_tensor_dir *dir, krs_str name)
{
    uint32_t low = 0;
    uint32_t high = dir->n_tensors;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const krs_tensor *tensor = &dir->tensors[middle];
        const int order = krs_tensor_name_order(name, tensor->name);
        if (order == 0) {
            return tensor;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
