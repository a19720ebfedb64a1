/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest starts in 64-bit mode, which KVM lets us set up from outside: page tables that map the
 * first 2 MiB one to one, a code segment, a task segment, an interrupt table with one entry,
 * registers. Before each step it writes the step's number to a port, which returns to us, so that
 * we know which instruction a half-working KVM died of.
 *
 * The instructions are those that stock kernels execute early and that emulators of single
 * instructions lack: cmpxchg16b with a lock prefix (the slab allocator), int3 (self-modifying code
 * patching), xsave and xrstor (process switches); the loop tells real execution from emulation by
 * its time. Intel SDM volume 2 for each, volume 3 chapters 3, 4 and 6 for the tables; Linux,
 * Documentation/virt/kvm/api.rst for the calls.
 */
#include "machine/accel-guest.h"

#include "base/mem.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define GUEST_SIZE 0x10000
#define GUEST_PML4 0x1000
#define GUEST_PDPT 0x2000
#define GUEST_PD 0x3000
#define GUEST_GDT 0x4000
#define GUEST_IDT 0x5000
#define GUEST_CODE 0x6000
#define GUEST_DATA 0x9000 /* the guest code below has this number as well */
#define GUEST_STACK 0xf000
#define GUEST_PORT 0x10
#define VECTOR_INT3 3

/* Entries of the processor's own tables. */
#define PAGE_PRESENT_WRITE 0x3
#define PAGE_LARGE 0x80
#define GATE_PRESENT_INTERRUPT 0x8e00
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TASK 0x18
/* PE, MP, ET, NE, WP, PG; PAE, OSFXSR, OSXMMEXCPT, OSXSAVE; SCE, LME, LMA, NXE. */
#define CR0_LONG_MODE 0x80010033
#define CR4_LONG_MODE 0x40620
#define EFER_LONG_MODE 0xd01

/* CPUID leaves that KVM_GET_SUPPORTED_CPUID may give; it gives around 50. */
#define CPUID_ENTRIES 256

extern const uint8_t accel_guest_start[], accel_guest_int3[], accel_guest_end[];

/* rsi: GUEST_DATA; the XSAVE area must be aligned to 64 bytes and zeroed. */
__asm__(".pushsection .rodata\n"
        ".hidden accel_guest_start, accel_guest_int3, accel_guest_end\n"
        ".globl accel_guest_start, accel_guest_int3, accel_guest_end\n"
        "accel_guest_start:\n"
        "  mov $1, %al\n  out %al, $0x10\n"
        "  mov $2, %al\n  out %al, $0x10\n"
        "  mov $0x9000, %esi\n  xor %eax, %eax\n  xor %edx, %edx\n"
        "  mov $7, %ebx\n  mov $9, %ecx\n"
        "  lock cmpxchg16b (%rsi)\n  jnz 9f\n"
        "  cmpq $7, (%rsi)\n  jne 9f\n  cmpq $9, 8(%rsi)\n  jne 9f\n"
        "  mov $3, %al\n  out %al, $0x10\n"
        "  xor %edi, %edi\n  int3\n  cmp $42, %edi\n  jne 9f\n"
        "  mov $4, %al\n  out %al, $0x10\n"
        "  xor %ecx, %ecx\n  xor %edx, %edx\n  mov $3, %eax\n  xsetbv\n"
        "  mov $0x9040, %esi\n  mov $3, %eax\n  xor %edx, %edx\n  xsave (%rsi)\n  xrstor (%rsi)\n"
        "  mov $5, %al\n  out %al, $0x10\n"
        "  xor %eax, %eax\n  xor %ecx, %ecx\n  cpuid\n  rdtsc\n"
        "  mov $6, %al\n  out %al, $0x10\n"
        "  mov $20000000, %ecx\n"
        "1: dec %ecx\n  jnz 1b\n"
        "  mov $7, %al\n  out %al, $0x10\n"
        "9: hlt\n"
        "accel_guest_int3:\n"
        "  mov $42, %edi\n  iretq\n"
        "accel_guest_end:\n"
        ".popsection\n");

static void put64(uint8_t *memory, size_t at, uint64_t value)
{
    memcpy(memory + at, &value, sizeof(value)); /* host and guest are little-endian */
}

static void fill_memory(uint8_t *memory)
{
    uint64_t handler = GUEST_CODE + (uint64_t) (accel_guest_int3 - accel_guest_start);
    size_t gate = GUEST_IDT + VECTOR_INT3 * 16;

    put64(memory, GUEST_PML4, GUEST_PDPT | PAGE_PRESENT_WRITE);
    put64(memory, GUEST_PDPT, GUEST_PD | PAGE_PRESENT_WRITE);
    put64(memory, GUEST_PD, PAGE_PRESENT_WRITE | PAGE_LARGE);
    put64(memory, GUEST_GDT + SELECTOR_CODE, 0x00af9b000000ffff);
    put64(memory, GUEST_GDT + SELECTOR_DATA, 0x00cf93000000ffff);
    /* An interrupt gate: offset 15..0, selector, type, offset 31..16; the upper half of the offset
     * is 0. */
    put64(memory, gate,
          (handler & 0xffff) | SELECTOR_CODE << 16 | (uint64_t) GATE_PRESENT_INTERRUPT << 32);
    memcpy(memory + GUEST_CODE, accel_guest_start, (size_t) (accel_guest_end - accel_guest_start));
}

static int set_tables(int vcpu)
{
    struct kvm_sregs s;
    const struct kvm_segment code = { .limit = 0xffffffff,
                                      .selector = SELECTOR_CODE,
                                      .type = 11,
                                      .present = 1,
                                      .s = 1,
                                      .l = 1,
                                      .g = 1 };
    const struct kvm_segment data = { .limit = 0xffffffff,
                                      .selector = SELECTOR_DATA,
                                      .type = 3,
                                      .present = 1,
                                      .db = 1,
                                      .s = 1,
                                      .g = 1 };

    if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
        return -1;
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.tr = (struct kvm_segment){
        .limit = 0x67, .selector = SELECTOR_TASK, .type = 11, .present = 1
    };
    s.gdt = (struct kvm_dtable){ .base = GUEST_GDT, .limit = 0x1f };
    s.idt = (struct kvm_dtable){ .base = GUEST_IDT, .limit = (VECTOR_INT3 + 1) * 16 - 1 };
    s.cr0 = CR0_LONG_MODE;
    s.cr3 = GUEST_PML4;
    s.cr4 = CR4_LONG_MODE;
    s.efer = EFER_LONG_MODE;
    return ioctl(vcpu, KVM_SET_SREGS, &s);
}

/* The guest gets what KVM can give: without it there would be neither long mode nor XSAVE. */
static int set_cpuid(int kvm, int vcpu)
{
    /* Of the child alone, which runs this once: 10 KiB are too many for the stack. */
    static _Alignas(struct kvm_cpuid2)
        uint8_t buffer[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
    struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *) buffer;

    cpuid->nent = CPUID_ENTRIES;
    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
        return -1;
    return ioctl(vcpu, KVM_SET_CPUID2, cpuid);
}

static int set_state(int kvm, int vcpu)
{
    const struct kvm_regs regs = { .rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2 };

    if (set_cpuid(kvm, vcpu) < 0 || set_tables(vcpu) < 0)
        return -1;
    return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* Until the guest's last step, or what KVM ends it with. True when it did all. */
static bool run_vcpu(int vcpu, const struct kvm_run *run, struct probe_report *report)
{
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR)
                continue;
            report->errnum = errno;
            return false;
        }
        report->exit_reason = run->exit_reason;
        if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
            report->suberror = run->internal.suberror;
        if (run->exit_reason != KVM_EXIT_IO || run->io.port != GUEST_PORT)
            return false;
        report->step = ((const uint8_t *) run)[run->io.data_offset];
        if (report->step >= PROBE_STEP_END)
            return true;
    }
}

/* A VM with one vCPU, and the memory that both sides see. Nothing is given back: the process ends
 * right after. */
static int make_vm(int kvm, int *ret_vcpu, struct kvm_run **ret_run)
{
    uint8_t *memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                           0);
    const struct kvm_userspace_memory_region region = {
        .memory_size = GUEST_SIZE, .userspace_addr = (uint64_t) (uintptr_t) memory
    };
    int vm = ioctl(kvm, KVM_CREATE_VM, 0), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

    if (memory == MAP_FAILED || vm < 0 || size < (int) sizeof(struct kvm_run))
        return -1;
    fill_memory(memory);
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return -1;
    *ret_vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    if (*ret_vcpu < 0)
        return -1;
    *ret_run = mmap(NULL, (size_t) size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_vcpu, 0);
    return *ret_run == MAP_FAILED ? -1 : 0;
}

void probe_run_guest(struct probe_report *report)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vcpu = -1;
    struct kvm_run *run = NULL;
    bool done = false;

    report->stage = PROBE_OPEN;
    if (kvm >= 0) {
        report->stage = PROBE_VERSION;
        done = ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
    }
    if (done) {
        report->stage = PROBE_VM;
        done = make_vm(kvm, &vcpu, &run) == 0;
    }
    if (done) {
        report->stage = PROBE_STATE;
        done = set_state(kvm, vcpu) == 0;
    }
    if (!done) {
        report->errnum = errno;
        return;
    }
    report->stage = PROBE_RUN;
    if (run_vcpu(vcpu, run, report))
        report->stage = PROBE_DONE;
}

const char *probe_step_name(uint32_t step)
{
    static const char *const names[] = { [PROBE_STEP_START] = "its first instruction",
                                         [PROBE_STEP_CMPXCHG16B] = "lock cmpxchg16b",
                                         [PROBE_STEP_INT3] = "int3",
                                         [PROBE_STEP_XSTATE] = "xsave and xrstor",
                                         [PROBE_STEP_CPUID] = "cpuid and rdtsc",
                                         [PROBE_STEP_LOOP] = "a long loop",
                                         [PROBE_STEP_END] = "its end" };

    return step < ARRAY_SIZE(names) && names[step] ? names[step] : "its start";
}
